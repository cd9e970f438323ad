"""A belief that comes from an energy."""

from jaxtyping import Float
from torch import Tensor, nn

from hush.denoisers.gaussian import GaussianDenoiser, ticks
from hush.denoisers.parameterisations import Parameterisation, V
from hush.networks.energy import Gradient
from hush.processes import GaussianProcess, Moment
from hush.tensors import Condition, expand


class Conservative(GaussianDenoiser):
    """A belief whose score is the gradient of a scalar, so that there is a density, but for its
    constant: x̂_0 = skip·x_t + out·∇g(c_in·x_t, clock, cond), and ∇ log p̃_t = (α x̂_0 - x_t)/σ².

    g is made of `network` by `Gradient`; it plays the part of the network's output in any
    `parameterisation`. With `V` (the default) or `EDM` a silent network believes in Gaussian data.
    Salimans and Ho 2021, "Should EBMs model the energy or the score?".
    """

    def __init__(
        self,
        process: GaussianProcess,
        network: nn.Module,
        parameterisation: Parameterisation | None = None,
    ) -> None:
        super().__init__(process, Gradient(network), parameterisation or V())

    def log_density(
        self, x_t: Float[Tensor, " batch *event"], t: Moment, cond: Condition | None = None
    ) -> Float[Tensor, " batch"]:
        """log p̃_t(x_t) = ½ (α skip - 1)/σ² ‖x_t‖² + (α out)/(σ² c_in) g(c_in x_t) in nats, but for
        a constant of each t and cond; t above 0. Its gradient is the belief's score.
        """
        level = self.process.schedule.level(t)
        skip, out, c_in, clock = self.parameterisation(self.process.schedule, level)
        given = expand(c_in, x_t) * x_t
        potential = self.network.potential(given, ticks(clock, x_t), cond).to(x_t.dtype)
        curve = 0.5 * (level.alpha * skip - 1.0) / level.sigma**2
        height = level.alpha * out / (level.sigma**2 * c_in)
        squares = (x_t**2).flatten(1).sum(1)
        return expand(curve, squares) * squares + expand(height, squares) * potential

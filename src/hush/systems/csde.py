"""Series as paths of a stochastic differential equation, steered through what is known."""

from hush.codecs import PerChannel
from hush.denoisers import Controlled
from hush.networks import Controls
from hush.objectives import StochasticControl
from hush.samplers import Ancestral, grids
from hush.system import Recipe, System, cited
from hush.tasks.series import Hide, Impute


@cited(
    "Park, Lee, Kwon 2022, Neural Markov controlled SDE: stochastic optimization for "
    "continuous-time data, ICLR, https://openreview.net/forum?id=7DI6op61AY"
)
def csde(
    shape: tuple[int, ...],
    features: int = 0,
    horizon: int = 0,
    hide: Hide | None = None,
    width: int = 32,
    depth: int = 2,
    earlier: int = 2,
    later: int = 2,
    substeps: int = 4,
    recipe: Recipe = Recipe(
        steps=5_000, batch=64, learning_rate=2e-3, warmup=100, decay="cosine", ema=0.995
    ),
) -> System:
    """CSDE: dX = (b + σ u) dt + σ dW in the data's own time, which may be uneven. b, σ and the
    controls u are learnt, each control from x and conditions of its own; those that see what comes
    later pay ½ ∫ ‖u‖² dt, and every known value -log p, given the path to it.

    It is no denoiser: its noise is that of the series themselves, and a path is drawn in as many
    steps as it has, whatever a walk is asked for. The correlations of the channels' noise are
    learnt, and always the same. The cost here is a bound on -log p of what is known, for the steps
    of the equation; the paper's own losses were not at hand.

    Args:
        shape: of one window, (channel, length).
        features: covariates that are told at every stamp.
        horizon: stamps at the end of a window that are to be told from the others.
        hide: what training hides: random, historical, mix, blackout, stretches or forecast; by
            default forecast where there is a horizon, else mix.
        width: of each of the networks.
        depth: their hidden layers.
        earlier: conditions before each moment, with a control each.
        later: conditions after it, likewise.
        substeps: steps of the equation from one stamp to the next.
        recipe: how it is trained.
    """
    network = Controls(shape[0], width, depth, earlier, later, features)
    return System(
        codec=PerChannel(shape[0], features),
        denoiser=Controlled(network, shape[0], substeps),
        objective=StochasticControl(),
        sampler=Ancestral(),
        grid=grids.Uniform(1),
        task=Impute.of(shape, features, horizon, hide),
        recipe=recipe,
    )

"""An autoencoder as a belief: what its decoder makes of a latent."""

from torch import Tensor, nn

from hush.denoisers.base import Denoiser
from hush.distributions import Gaussian
from hush.networks.autoencoder import Autoencoder
from hush.processes import Encoded, Moment
from hush.tensors import Condition


class Decoded(Denoiser):
    """p(x_0 | z) = N(x̂, 0), x̂ the decoder's: one step from the noise to the data.

    A `critic` of patches is trained beside it, where there is one, and is asked only in training.
    """

    def __init__(self, autoencoder: Autoencoder, critic: nn.Module | None = None) -> None:
        super().__init__()
        self.process = Encoded(autoencoder)
        self.network, self.critic = autoencoder, critic

    def forward(self, x_t: Tensor, t: Moment = 1.0, cond: Condition | None = None) -> Gaussian:
        return Gaussian(self.network.decode(x_t))

"""Data as the latents of an autoencoder: fewer elements, of what matters in them."""

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from hush.codecs.affine import Range
from hush.codecs.base import Batch, Codec
from hush.errors import UserError
from hush.networks.autoencoder import VAE, Autoencoder
from hush.tensors import Condition

Latents = Float[Tensor, "batch latent *place"]


class Latent(Codec):
    """x_0 = (z - m)/s, z the mean of q(z | x) of an autoencoder that has learnt its data and learns
    no more; m and s, the mean and the deviation of each channel of z, are measured. Back goes the
    decoder's x̂, in the range and on the levels that the autoencoder's own codec has measured.

    It is no inverse: what the autoencoder loses is lost, and a density of x_0 is none of the data.
    Rombach et al. 2022, "High-resolution image synthesis with latent diffusion models", section
    3.1 and appendix G (they divide by one deviation for all channels).

    inner          the codec of the data that the autoencoder saw
    autoencoder    its two halves, with the same number of data per latent along every side
    """

    invertible = False

    def __init__(self, inner: Codec | None = None, autoencoder: Autoencoder | None = None) -> None:
        super().__init__()
        self.inner = inner or Range()
        self.autoencoder = autoencoder or VAE((1, 8, 8), width=8, multipliers=(1, 2))
        self.autoencoder.eval().requires_grad_(False)
        channels = self.autoencoder.latent[0]
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def train(self, mode: bool = True) -> "Latent":
        """It stays as it is: its autoencoder has learnt what it was to learn."""
        return super().train(False)

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor], levels: int | None = None) -> "Latent":
        """Measure the latents; the data's range and levels are known already."""
        count, total, squares = 0, 0.0, 0.0
        for data in batches:
            z = self._latents(data).double().transpose(0, 1).flatten(1)
            count += z.shape[1]
            total, squares = total + z.sum(1), squares + z.square().sum(1)
        mean = total / count
        deviation = (squares / count - mean**2).clamp(min=0.0).sqrt()
        if not (deviation > 0.0).all():
            raise UserError(
                "The autoencoder makes the same latents of all data: train it for longer, or with "
                "another learning rate."
            )
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)
        return self

    def encode(self, data: Batch, cond: Condition | None = None) -> Latents:
        return (self._latents(data) - self._each(self.mean)) / self._each(self.deviation)

    def decode(self, x_0: Latents, cond: Condition | None = None) -> Batch:
        z = x_0 * self._each(self.deviation) + self._each(self.mean)
        return self.inner.decode(self.autoencoder.decode(z), cond)

    def log_det(self, event: tuple[int, ...]) -> float:
        raise UserError(
            "Latents are fewer than the data, so a density of theirs is none of the data: there "
            "are no bits per dimension of a model in latents."
        )

    def event(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """One latent for every `stride` data along a side, those at the end rounded up."""
        return (len(self.mean), *(-(-side // self._stride) for side in shape[1:]))

    def places(self, known: Bool[Tensor, "batch 1 *space"]) -> Bool[Tensor, "batch 1 *place"]:
        """A latent is known where all data are that it stands for."""
        unknown = functional.max_pool2d((~known).float(), self._stride, ceil_mode=True)
        return unknown == 0.0

    @property
    def levels(self) -> Tensor:
        """The number of levels of the data, 0 where they are continuous."""
        return self.inner.levels

    @property
    def _stride(self) -> int:
        return self.autoencoder.stride

    def _latents(self, data: Batch) -> Latents:
        return self.autoencoder.encode(self.inner.encode(data))[0]

    def _each(self, values: Tensor) -> Tensor:
        return values.reshape(-1, *(1 for _ in self.autoencoder.latent[1:]))

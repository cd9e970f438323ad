"""Autoencoders: data to a Gaussian over a latent z, smaller than they are, and z back to data.

    x ─ Encoder ─► mean, log-variance of q(z | x)     z ─ Decoder ─► x̂, the centre of p(x | z)

Kingma and Welling 2014, "Auto-encoding variational Bayes". What x̂ means, and the bound that trains
both, are `hush.objectives.evidence_lower_bound`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from hush.errors import UserError
from hush.networks.blocks import Upsample, crop_to, group_norm
from hush.networks.layers import CONVOLUTIONS, Map, Mapped, convolution
from hush.rng import Streams

LEAST, MOST = -30.0, 20.0  # of a log-variance: its exponential stays a number

Data = Shaped[Tensor, " batch *event"]
Answer = Float[Tensor, " batch *event"]
Latent = Float[Tensor, " batch *latent"]


class Autoencoder(nn.Module, ABC):
    """The two halves of a variational autoencoder. A subclass writes `encode` and `decode`.

    latent         the shape of one z, whose prior is N(0, I)
    stride         how many elements of the data there are to one of z, along every side
    log_variance   that of numbers around x̂, one for all elements; it learns where x̂ is the mean
                   of a Gaussian, unless the likelihood names its variance
    """

    stride: int = 1

    def __init__(self, latent: tuple[int, ...]) -> None:
        super().__init__()
        self.latent = latent
        self.log_variance = nn.Parameter(torch.zeros(()))

    @abstractmethod
    def encode(self, x: Data) -> tuple[Latent, Latent]:
        """The mean and the log-variance of q(z | x), a Gaussian with independent elements."""

    @abstractmethod
    def decode(self, z: Latent) -> Answer:
        """x̂: the mean of numbers given z, or the logit of what is 0 or 1."""

    @property
    def entered(self) -> tuple[nn.Module, ...]:
        """The parts that are called by themselves: where `lowered` lowers it."""
        return (self,)

    def forward(self, x: Data) -> Answer:
        """x there and back: x̂ of the mean of q(z | x)."""
        return self.decode(self.encode(x)[0])

    def strain(self, z: Latent) -> Float[Tensor, " batch"] | float:
        """What z costs beside its distance from the prior, per sample; of most nothing."""
        return 0.0

    def sample(self, rng: Streams) -> Answer:
        """x̂ of z ~ N(0, I), one for each stream (one draw)."""
        return self.decode(rng.normal(self.latent, self.log_variance.dtype))


class VAE(Autoencoder):
    """Convolutions for data of one `shape`, (channel, *space) with 1, 2 or 3 sides of any size.

    A z is (latent, *smaller): every resolution after the first halves the sides, rounded up.

    width          channels of the first resolution; `multipliers` gives those of each
    latent         channels of z
    blocks         residual blocks per resolution, on the way in and on the way out
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int = 64,
        multipliers: Sequence[int] = (1, 2, 2),
        latent: int = 4,
        blocks: int = 1,
    ) -> None:
        channels, *sides = shape
        if len(sides) not in CONVOLUTIONS or min(channels, latent, *sides) < 1:
            raise UserError(
                f"An autoencoder needs data (channel, *space) with 1 to 3 sides and at least 1 "
                f"latent channel, got shape {tuple(shape)} and latent {latent}."
            )
        stride = 2 ** (len(multipliers) - 1)
        super().__init__((latent, *(math.ceil(side / stride) for side in sides)))
        widths = [width * multiplier for multiplier in multipliers]
        self.size, self.stride = torch.Size(sides), stride
        self.encoder = Encoder(len(sides), channels, widths, self._heads * latent, blocks)
        self.decoder = Decoder(len(sides), channels, widths, latent, blocks)

    @property
    def entered(self) -> tuple[nn.Module, ...]:
        return (self.encoder, self.decoder)

    _heads = 2  # a mean and a log-variance

    def encode(self, x: Data) -> tuple[Latent, Latent]:
        mean, log_variance = self.encoder(x.to(self.log_variance.dtype)).chunk(2, 1)
        return mean, log_variance.clamp(LEAST, MOST)

    def decode(self, z: Latent) -> Answer:
        """x̂; of a z of other sides than those of `latent` as many data as it stands for."""
        x = self.decoder(z)
        return crop_to(x, self.size) if z.shape[2:] == self.latent[1:] else x


class Encoder(nn.Module):
    """(batch, channel, *space) to (batch, out, *small): what a law of z is made of."""

    def __init__(
        self, dims: int, channels: int, widths: Sequence[int], out: int, blocks: int = 1
    ) -> None:
        super().__init__()
        now = widths[0]
        layers: list[nn.Module] = [convolution(dims, channels, now)]
        for level, wide in enumerate(widths):
            layers += [convolution(dims, now, now, stride=2)] if level else []
            for _ in range(blocks):
                layers.append(Block(dims, now, wide))
                now = wide
        layers += [group_norm(now), nn.SiLU(), convolution(dims, now, out)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Map) -> Mapped:
        return self.layers(x)


class Decoder(nn.Module):
    """(batch, latent, *space) to (batch, channel, *larger): each resolution after the first twice
    the sides. The mirror of `Encoder`."""

    def __init__(
        self, dims: int, channels: int, widths: Sequence[int], latent: int, blocks: int = 1
    ) -> None:
        super().__init__()
        now = widths[-1]
        layers: list[nn.Module] = [convolution(dims, latent, now)]
        for level, wide in reversed(list(enumerate(widths))):
            for _ in range(blocks):
                layers.append(Block(dims, now, wide))
                now = wide
            layers += [Upsample(dims, now)] if level else []
        layers += [group_norm(now), nn.SiLU(), convolution(dims, now, channels)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Map) -> Mapped:
        return self.layers(z)


class Block(nn.Module):
    """norm, SiLU, convolution, twice; added. Nothing steers it: an autoencoder has no clock."""

    def __init__(self, dims: int, channels: int, out: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            group_norm(channels),
            nn.SiLU(),
            convolution(dims, channels, out),
            group_norm(out),
            nn.SiLU(),
            convolution(dims, out, out, zero=True),
        )
        same = channels == out
        self.shortcut = nn.Identity() if same else convolution(dims, channels, out, kernel=1)

    def forward(self, x: Map) -> Mapped:
        return self.shortcut(x) + self.branch(x)

"""Pictures from pictures: what was lost is learnt from what is whole, so no pairs need be made.

A task spoils whole pictures for training, and takes a user's own as they are. Where there are pairs
(records with a "given" picture) it takes these in place of what it would spoil itself.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from hush.codecs import Codec
from hush.data import strip
from hush.data.jpeg import through_jpeg
from hush.errors import UserError
from hush.guidance import Linear, Pool, Projection
from hush.networks.given import PICTURE
from hush.rng import Streams
from hush.tasks.base import Example, Task
from hush.tensors import Condition, each

Pictures = Float[Tensor, "batch channel height width"]
Shown = Float[Tensor, "batch shown tall wide"]  # of other channels, of another size
Given = tuple[Shown, Bool[Tensor, "batch 1 height width"] | None]

GIVEN = "given"  # what a record calls the picture that comes with another
LEVEL = "level"  # what a condition calls the noise that is in its picture
LUMA = (0.299, 0.587, 0.114)  # of ITU-R BT.601, as in JPEG


@dataclass(frozen=True)
class FromPicture(Task):
    """A picture from another: the condition is that picture, in [0, 1] and at the answer's size."""

    asks: ClassVar[bool] = True
    shows: ClassVar[int] = 12

    @abstractmethod
    def spoilt(self, data: Pictures, rng: Streams) -> Given:
        """What would be given of whole pictures, and where there is something to be made (None:
        everywhere)."""

    def prepared(self, picture: Pictures) -> Shown:
        """A user's picture as the network is to see it."""
        return picture

    def example(self, record: dict[str, Tensor], rng: Streams) -> Example:
        """The whole picture, from what the record has of it or what the task leaves."""
        data = record["image"]
        if GIVEN in record:
            return Example(data, {PICTURE: self.prepared(record[GIVEN])})
        picture, mask = self.spoilt(data, rng)
        return Example(data, {PICTURE: picture}, mask)

    def asked(self, picture: Pictures, rng: Streams, level: float = 0.0) -> Condition:
        """The condition that a user's picture makes. Raises `UserError` for a `level` that the
        network does not know."""
        if level:
            raise UserError(f"This model takes what it is given as it is, got a level of {level}.")
        return {PICTURE: self.prepared(picture)}

    def sure(self, picture: Pictures) -> tuple[Linear, Tensor] | None:
        """(H, y): of the answer x to a user's picture H x = y is known, y in [0, 1]; None where
        nothing is. The rows of H sum to 1."""
        return None

    def held(
        self, codec: Codec, picture: Pictures, cond: Condition | None = None
    ) -> Projection | None:
        """What holds beliefs about x_0 to what is sure of the answers x to a user's picture. Where
        x_0 is what x is beyond the picture of its condition, H x_0 is y beyond H of that."""
        if (sure := self.sure(picture)) is None:
            return None
        operator, y = sure
        beside = None if cond is None else {PICTURE: operator(cond[PICTURE].to(y))}
        return Projection(operator, codec.encode(y, beside))

    def shown(self, cond: Condition | None) -> Tensor:
        """What was given, as it is to be seen beside the answer."""
        return cond[PICTURE].clamp(0.0, 1.0)

    def picture(
        self, answers: Tensor, cond: Condition | None = None, data: Tensor | None = None
    ) -> Tensor:
        """Rows of what was given, what was drawn and what is true."""
        return strip([self.shown(cond), answers, data])

    def request(self, count: int, cond: Condition | None) -> tuple[tuple[int, ...], Condition]:
        """(shape, condition) for `count` answers to the pictures that are given, in turn; the
        answers are of their size."""
        picture = cond.get(PICTURE) if isinstance(cond, dict) else cond
        if picture is None:
            raise UserError(
                f"{type(self).__name__} makes a picture from another: give it one, by its verb, as "
                "of hush upscale, or in Python cond=picture (1, channel, height, width) in [0, 1]."
            )
        if picture.ndim != 4 or picture.shape[1] != self.shape[0]:
            raise UserError(
                f"This model is given pictures (batch, {self.shape[0]}, height, width), got "
                f"{tuple(picture.shape)}."
            )
        turn = (torch.arange(count) % len(picture)).to(picture.device)
        cond = cond if isinstance(cond, dict) else {PICTURE: cond}
        shape = (count, self.shape[0], *picture.shape[2:])
        return shape, each(lambda part: part[turn], cond)


@dataclass(frozen=True)
class Upscale(FromPicture):
    """`factor` times the sides: means of factor x factor pixels are given, enlarged bicubically."""

    factor: int = 4

    def __post_init__(self) -> None:
        if self.factor < 2 or any(side % self.factor for side in self.shape[1:]):
            raise UserError(
                f"factor must be 2 or more and divide the sides {self.shape[1:]} of the pictures, "
                f"got {self.factor}."
            )

    def spoilt(self, data: Pictures, rng: Streams) -> Given:
        return self.prepared(functional.avg_pool2d(data, self.factor)), None

    def prepared(self, picture: Pictures) -> Shown:
        return enlarged(picture, self.factor)

    def sure(self, picture: Pictures) -> tuple[Linear, Tensor]:
        """Its means are the picture."""
        return Pool(self.factor), picture


@dataclass(frozen=True)
class Stage(Upscale):
    """The next stage of a cascade: what is given has noise in it, so that the model does not lean
    on what the stage before got wrong. The network is told how much, s between 0 and `loudest`, of
    √(1-s²) x + s ε with x in [-1, 1].

    Ho et al. 2022, "Cascaded diffusion models for high fidelity image generation", section 3.
    """

    loudest: float = 0.5

    def example(self, record: dict[str, Tensor], rng: Streams) -> Example:
        data, cond, _ = super().example(record, rng)
        s = self.loudest * rng.next().uniform((1,))
        return Example(data, self._noised(cond[PICTURE], s, rng.next(2)))

    def request(self, count: int, cond: Condition | None) -> tuple[tuple[int, ...], Condition]:
        shape, cond = super().request(count, cond)
        return shape, {LEVEL: cond[PICTURE].new_zeros(count, 1), **cond}

    def asked(self, picture: Pictures, rng: Streams, level: float = 0.0) -> Condition:
        if not 0.0 <= level <= self.loudest:
            raise UserError(f"level must lie between 0 and {self.loudest:g}, got {level:g}.")
        s = torch.full((len(picture), 1), level, dtype=torch.float64, device=picture.device)
        return self._noised(self.prepared(picture), s, rng)

    def _noised(self, picture: Pictures, s: Tensor, rng: Streams) -> Condition:
        signal, sigma = (part.reshape(-1, 1, 1, 1).to(picture) for part in ((1 - s**2) ** 0.5, s))
        noise = rng.normal(tuple(picture.shape[1:]), picture.dtype)
        x = signal * (2.0 * picture - 1.0) + sigma * noise
        return {PICTURE: 0.5 + 0.5 * x, LEVEL: s.to(picture)}


@dataclass(frozen=True)
class Colourise(FromPicture):
    """Colours for a grey picture: its luma is given in all three channels."""

    def __post_init__(self) -> None:
        if self.shape[0] != 3:
            raise UserError(f"Colourise makes pictures of 3 channels, got shape {self.shape}.")

    def spoilt(self, data: Pictures, rng: Streams) -> Given:
        return self.prepared(data), None

    def prepared(self, picture: Pictures) -> Shown:
        return grey(picture).expand(-1, 3, -1, -1)

    def sure(self, picture: Pictures) -> tuple[Linear, Tensor]:
        """Its luma is the picture's."""
        return Luma(), grey(picture)


@dataclass(frozen=True)
class Unjpeg(FromPicture):
    """Undo JPEG of a quality between `lowest` and `highest`."""

    lowest: int = 5
    highest: int = 30

    def spoilt(self, data: Pictures, rng: Streams) -> Given:
        range_ = self.highest + 1 - self.lowest
        quality = self.lowest + (rng.uniform() * range_).long().clamp(max=range_ - 1)
        return through_jpeg(data, quality.tolist()), None


@dataclass(frozen=True)
class Denoise(FromPicture):
    """Undo white noise of a standard deviation between `lowest` and `highest`, of pictures in
    [0, 1]; how much there is, is not told."""

    lowest: float = 0.02
    highest: float = 0.2

    def spoilt(self, data: Pictures, rng: Streams) -> Given:
        sigma = self.lowest + (self.highest - self.lowest) * rng.uniform().reshape(-1, 1, 1, 1)
        noise = rng.next().normal(tuple(data.shape[1:]), data.dtype)
        return data + sigma.to(data) * noise, None


def enlarged(picture: Pictures, factor: int) -> Shown:
    """Bicubically, held to [0, 1]."""
    wide = functional.interpolate(picture, scale_factor=factor, mode="bicubic")
    return wide.clamp(0.0, 1.0)


def grey(picture: Pictures) -> Shown:
    """The luma of a picture in colour, (batch, 1, height, width); a grey one as it is."""
    if picture.shape[1] == 1:
        return picture
    weights = torch.tensor(LUMA, dtype=picture.dtype, device=picture.device)
    return (picture[:, :3] * weights.reshape(1, 3, 1, 1)).sum(1, keepdim=True)


@dataclass(frozen=True)
class Luma(Linear):
    """The brightness of pictures in colour: (batch, 3, height, width) to (batch, 1, …)."""

    def __call__(self, x: Pictures) -> Shown:
        return grey(x)

    def adjoint(self, y: Shown) -> Pictures:
        return y * self._weights(y)

    def solve(self, y: Shown, variance: Pictures, noise: float) -> Shown:
        return y / ((variance * self._weights(y) ** 2).sum(1, keepdim=True) + noise)

    def _weights(self, like: Tensor) -> Tensor:
        return torch.tensor(LUMA, dtype=like.dtype, device=like.device).reshape(1, 3, 1, 1)

"""Pictures from pictures: what was lost is learnt from what is whole, so no pairs need be made.

A task spoils whole pictures for training, and takes a user's own as they are. Where there are pairs
(records with a "given" picture) it takes these in place of what it would spoil itself.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from hush.data.jpeg import through_jpeg
from hush.errors import UserError
from hush.networks.given import PICTURE
from hush.rng import Streams
from hush.tasks.base import Example, Task
from hush.tasks.masks import Mask, boxes, sides, strokes
from hush.tensors import Condition

Pictures = Float[Tensor, "batch channel height width"]
Shown = Float[Tensor, "batch shown tall wide"]  # of other channels, of another size
Given = tuple[Shown, Bool[Tensor, "batch 1 height width"] | None]

GIVEN = "given"  # what a record calls the picture that comes with another
LUMA = (0.299, 0.587, 0.114)  # of ITU-R BT.601, as in JPEG


@dataclass(frozen=True)
class FromPicture(Task):
    """A picture from another: the condition is that picture, in [0, 1] and at the answer's size."""

    asks: ClassVar[bool] = True

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

    def shown(self, cond: Condition | None) -> Tensor:
        return cond[PICTURE].clamp(0.0, 1.0)

    def request(self, count: int, cond: Condition | None) -> tuple[tuple[int, ...], Condition]:
        """(shape, condition) for `count` answers to the pictures that are given, in turn; the
        answers are of their size."""
        picture = cond.get(PICTURE) if isinstance(cond, dict) else cond
        if picture is None:
            raise UserError(
                f"{type(self).__name__} makes a picture from another: give it one, cond=picture of "
                "shape (1, channel, height, width) in [0, 1]."
            )
        if picture.ndim != 4 or picture.shape[1] != self.shape[0]:
            raise UserError(
                f"This model is given pictures (batch, {self.shape[0]}, height, width), got "
                f"{tuple(picture.shape)}."
            )
        turn = torch.arange(count) % len(picture)
        return (count, *self.shape[:1], *picture.shape[2:]), {
            PICTURE: picture[turn.to(picture.device)]
        }


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


@dataclass(frozen=True)
class Fill(FromPicture):
    """A picture of which a part is missing; what is given there is noise of mean and standard
    deviation ½. The loss counts there alone."""

    def hidden(self, rng: Streams, height: int, width: int) -> Mask:
        """Where something is to be made."""
        raise NotImplementedError

    def spoilt(self, data: Pictures, rng: Streams) -> Given:
        mask = self.hidden(rng, *data.shape[2:])
        return filled(data, mask, rng.next()), mask


@dataclass(frozen=True)
class Inpaint(Fill):
    """Fill holes: rectangles and brush strokes, half of each."""

    def hidden(self, rng: Streams, height: int, width: int) -> Mask:
        coin = rng.uniform().reshape(-1, 1, 1, 1) < 0.5
        rng = rng.branch("hole")
        return torch.where(coin, boxes(rng, height, width), strokes(rng.next(), height, width))


@dataclass(frozen=True)
class Uncrop(Fill):
    """Draw what lies beyond the edges: one half of the picture, or all but its middle."""

    def hidden(self, rng: Streams, height: int, width: int) -> Mask:
        return sides(rng, height, width)


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


@dataclass(frozen=True)
class Mixed(FromPicture):
    """One of several tasks for each picture, all alike; the network is not told which."""

    tasks: tuple[FromPicture, ...] = ()

    def spoilt(self, data: Pictures, rng: Streams) -> Given:
        kind = (rng.uniform() * len(self.tasks)).long()
        given = torch.empty_like(data)
        masks = torch.ones(len(data), 1, *data.shape[2:], dtype=torch.bool, device=data.device)
        for number, task in enumerate(self.tasks):
            mine = kind == number
            if mine.any():
                own = replace(rng.branch("mixed"), index=rng.index[mine])
                picture, mask = task.spoilt(data[mine], own)
                given[mine] = picture
                if mask is not None:
                    masks[mine] = mask
        return given, masks


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


def filled(data: Pictures, mask: Mask, rng: Streams) -> Pictures:
    """Noise where the mask is true (one draw)."""
    noise = 0.5 + 0.5 * rng.normal(tuple(data.shape[1:]), data.dtype)
    return torch.where(mask, noise, data)


PALETTE: dict[str, Callable[..., FromPicture]] = {
    "colourise": Colourise,
    "inpaint": Inpaint,
    "uncrop": Uncrop,
    "jpeg": Unjpeg,
    "denoise": Denoise,
}

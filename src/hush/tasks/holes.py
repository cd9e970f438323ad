"""Pictures of which a part is missing."""

from abc import abstractmethod
from dataclasses import dataclass

import torch

from hush.rng import Streams
from hush.tasks.images import FromPicture, Given, Pictures
from hush.tasks.masks import Mask, boxes, sides, strokes


@dataclass(frozen=True)
class Fill(FromPicture):
    """A picture of which a part is missing; what is given there is noise of mean and standard
    deviation ½. The loss counts there alone."""

    @abstractmethod
    def hidden(self, rng: Streams, height: int, width: int) -> Mask:
        """Where something is to be made."""

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


def filled(data: Pictures, mask: Mask, rng: Streams) -> Pictures:
    """Noise where the mask is true (one draw)."""
    noise = 0.5 + 0.5 * rng.normal(tuple(data.shape[1:]), data.dtype)
    return torch.where(mask, noise, data)

"""Pictures larger than a model was trained on, or than memory holds, tile by tile."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.guidance.base import Guidance
from hush.processes import Moment
from hush.schedules import Level
from hush.tensors import Condition, each

Pictures = Float[Tensor, "batch channel height width"]
Window = tuple[int, Float64[Tensor, " _"]]  # where a tile begins, and the weights of its pixels
Place = tuple[int, Window, Window]  # a tile: of which sample, how far down, how far across


@dataclass(frozen=True)
class Tiled(Guidance):
    """The belief about a large picture, put together from those about its tiles:

    x̂_0 = Σ_k w_k x̂_0(tile k), with Σ_k w_k = 1 at every pixel; of variances the same sum.

    Tiles have the side `size` (or height and width) and share `overlap` pixels with the next, by
    default a quarter of their shorter side; the last of a row lies inside too and shares more.
    `overlap // 4` pixels at a tile's edge, unless it is the picture's, weigh nothing: what reaches
    no farther is exactly what the denoiser would say of the whole. Then the weights rise as sin².
    The denoiser is asked about `at_once` tiles at a time, so its memory does not grow with the
    picture. A picture no larger than a tile is asked about as it is.

    What of the condition has the picture's height and width as its last axes (of three or more) is
    cut like the picture, and the rest is given to each tile. A sampler's step is linear in x̂_0, so
    blending beliefs is blending the steps of the tiles, as in the paper; noise and memory stay
    those of the whole.

    Raises:
        UserError: a tile without pixels, an overlap that is negative or not smaller than a tile,
            no tile at once; a model that is not Gaussian, states that are not pictures.
    """

    size: int | tuple[int, int] = 64
    overlap: int | None = None
    at_once: int = 64

    cite: ClassVar[str] = (
        "Bar-Tal et al. 2023, MultiDiffusion: fusing diffusion paths for controlled image "
        "generation"
    )

    def __post_init__(self) -> None:
        if min(self.sides) < 1:
            raise UserError(f"size={self.size}: expected a tile of at least 1 pixel a side.")
        if not 0 <= self.shared < min(self.sides):
            raise UserError(
                f"overlap={self.overlap}: expected at least 0 and less than the tile's "
                f"{min(self.sides)} pixels, so that the next tile lies farther on."
            )
        if self.at_once < 1:
            raise UserError(f"at_once={self.at_once}: expected at least 1 tile at a time.")

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of a tile."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def shared(self) -> int:
        """How many pixels two neighbours have in common."""
        return min(self.sides) // 4 if self.overlap is None else self.overlap

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        self._only_gaussian(denoiser)
        return Mosaic(denoiser, self)


class Mosaic(Denoiser):
    """What `Tiled` makes."""

    def __init__(self, denoiser: Denoiser, tiled: Tiled) -> None:
        super().__init__()
        self.denoiser, self.process, self.tiled = denoiser, denoiser.process, tiled

    def forward(self, x_t: Pictures, t: Moment, cond: Condition | None = None) -> Gaussian:
        if x_t.ndim != 4:
            raise UserError(
                "Tiled cuts pictures (batch, channel, height, width), got states of shape "
                f"{tuple(x_t.shape)}: leave it out."
            )
        rows, columns = (
            windows(length, side, self.tiled.shared)
            for length, side in zip(x_t.shape[-2:], self.tiled.sides, strict=True)
        )
        if len(rows) == len(columns) == 1:
            return self.denoiser(x_t, t, cond)
        places = list(product(range(len(x_t)), rows, columns))
        mean, variance = torch.zeros_like(x_t), None
        for i in range(0, len(places), self.tiled.at_once):
            now = places[i : i + self.tiled.at_once]
            belief = self._asked(x_t, t, cond, now)
            _lay(mean, now, belief.mean)
            if not isinstance(belief.variance, Tensor) or belief.variance.ndim == 0:
                variance = belief.variance  # of the level, whatever the tile
                continue
            spread = belief.spread
            if variance is None:
                variance = spread.new_zeros(len(x_t), spread.shape[1], *x_t.shape[-2:])
            _lay(variance, now, spread)
        return replace(belief, mean=mean, variance=variance)

    def _asked(
        self, x_t: Tensor, t: Moment, cond: Condition | None, places: list[Place]
    ) -> Gaussian:
        """What the denoiser believes of some tiles."""

        def there(part: Tensor) -> Tensor:
            return _taken(part, places, x_t.shape[-2:])

        denoiser = self.denoiser.among([sample for sample, _, _ in places])
        return denoiser(there(x_t), _moment(t, there), each(there, cond))


@lru_cache(maxsize=16)  # two for each size of picture being walked
def windows(length: int, side: int, overlap: int) -> tuple[Window, ...]:
    """The tiles along an axis, and the weights of their pixels, which sum to one at every pixel.

    At a tile's edge, unless it is the picture's, `overlap // 4` weights are 0; the n pixels after
    them, about half of the overlap, rise as sin². Where two tiles share just the overlap a weight
    changes from one pixel to the next by at most sin(π/2n); where they share more, or three meet,
    by up to a fifth more.

    >>> [(first, weights.tolist()) for first, weights in windows(5, 3, 1)]
    [(0, [1.0, 1.0, 0.5]), (2, [0.5, 1.0, 1.0])]
    """
    if length <= side:
        return ((0, torch.ones(length, dtype=torch.float64)),)
    firsts = [*range(0, length - side, side - overlap), length - side]
    margin = overlap // 4
    rise = (torch.arange(side, dtype=torch.float64) + 0.5 - margin) / max(overlap - 2 * margin, 1)
    rise = torch.sin(0.5 * math.pi * rise.clamp(0.0, 1.0)) ** 2
    total, raw = torch.zeros(length, dtype=torch.float64), []
    for first in firsts:
        begun = rise if first else torch.ones_like(rise)
        raw.append(begun if first + side == length else begun * rise.flip(0))
        total[first : first + side] += raw[-1]
    return tuple(
        (first, weights / total[first : first + side])
        for first, weights in zip(firsts, raw, strict=True)
    )


def _taken(part: Tensor, places: list[Place], whole: tuple[int, int]) -> Tensor:
    """The tiles of what has the picture's height and width; of the rest what is the sample's."""
    if part.ndim < 3 or part.shape[-2:] != whole:
        return torch.stack([part[sample] for sample, _, _ in places])
    return torch.stack([part[_where(place)] for place in places])


def _moment(t: Moment, there: Any) -> Moment:
    """Times of their own for the tiles; one that all share serves as it is."""
    if isinstance(t, Level):
        return Level(*(_moment(part, there) for part in t))
    return there(t) if isinstance(t, Tensor) and t.ndim else t


def _lay(canvas: Tensor, places: list[Place], tiles: Tensor) -> None:
    """Add tiles to the canvas, each weighed, where they belong."""
    for place, tile in zip(places, tiles, strict=True):
        _, (_, down), (_, across) = place
        canvas[_where(place)] += torch.outer(down, across).to(canvas) * tile


def _where(place: Place) -> tuple[Any, ...]:
    """The index of a tile in a batch of pictures."""
    sample, (top, down), (left, across) = place
    return sample, ..., slice(top, top + len(down)), slice(left, left + len(across))

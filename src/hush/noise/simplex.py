"""Simplex noise: octaves of smooth random bumps."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from hush.errors import UserError
from hush.noise.base import Event, NoiseLaw, State
from hush.rng import Streams

_REACH = 0.5  # r²: a vertex acts up to the far faces of the simplices it is a corner of, no further
_LAYERS = 5  # of a grid that a plane has within reach: 2·√½, and they are a third apart
_VARIANCE = 4 * math.pi / 3 * _REACH**10.5 * math.gamma(2.5) * math.gamma(9) / math.gamma(11.5)
_AT_ONCE = 2**14  # pixels that a processor makes together, within its cache


@dataclass(frozen=True)
class Simplex(NoiseLaw):
    """Fields over pictures (…, h, w): Σ_i persistence^i simplex3(x/f_i, y/f_i, t/f_i), with
    f_0 = `frequency` pixels and f_i = f_{i-1}/2, scaled to variance one at each pixel.

    simplex3(p) = Σ_v (½ - ‖p - v‖²)₊⁴ g_v·(p - v) over the vertices v of the simplex lattice (the
    body-centred cubic one), with the g_v uniform on the sphere. Each channel of each sample has its
    own gradients, and its own place in the lattice for every octave: so t is drawn as well, and the
    field's statistics are the same at every pixel. Averaged over places,
    Var simplex3 = 2 ∫ (½ - ‖p‖²)₊⁸ ‖p‖²/3 dp = 4π/3 2^-10.5 B(5/2, 9).

    Its covariance is the same in every direction. It is not Gaussian and has no density here.
    Perlin 2001, "Noise hardware", as used by AnoDDPM.
    """

    frequency: float = 64.0
    octaves: int = 6
    persistence: float = 0.8

    cite: ClassVar[str] = (
        "Wyatt et al. 2022, AnoDDPM: anomaly detection with denoising diffusion probabilistic "
        "models using simplex noise"
    )

    def __post_init__(self) -> None:
        for name in ("frequency", "persistence"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise UserError(f"{name} must be a positive number, got {getattr(self, name)}.")
        if self.octaves < 1:
            raise UserError(f"octaves must be at least 1, got {self.octaves}.")

    def __call__(self, rng: Streams, event: Event, dtype: torch.dtype = torch.float32) -> State:
        if len(event) < 2:
            raise UserError(f"Simplex noise wants pictures (channel, h, w), got an event {event}.")
        if not rng.index.is_cpu:
            return self._fields(rng, event, dtype)
        some = max(1, _AT_ONCE // max(1, math.prod(event)))
        parts = [rng[first : first + some] for first in range(0, max(1, len(rng)), some)]
        return torch.cat([self._fields(part, event, dtype) for part in parts])

    def _fields(self, rng: Streams, event: Event, dtype: torch.dtype) -> State:
        planes = [_Plane(*event[-2:], self.frequency / 2**i) for i in range(self.octaves)]
        loudness = [self.persistence**i for i in range(self.octaves)]
        needs = [3 + 4 * plane.vertices for plane in planes]
        exact = torch.promote_types(dtype, torch.float32)
        numbers = rng.uniform((math.prod(event[:-2]), sum(needs)), exact).flatten(0, 1)
        shares = zip(numbers.split(needs, -1), planes, loudness, strict=True)
        field = sum(loud * _octave(share, plane) for share, plane, loud in shares)
        variance = _VARIANCE * sum(loud**2 for loud in loudness)
        return (field / variance**0.5).reshape(len(rng), *event).to(dtype)


@dataclass(frozen=True)
class _Plane:
    """The pixels of a picture, askew in two cubic grids that are half a cell apart: turned half
    round the diagonal (1, 1, 1), as the skewed simplex lattice stands to its cubes, and moved to
    where no index is negative:

        (2y + (x_last - x), 2x + (y_last - y), 2(x + y))/(3 period).

    It is 2a + 2b - c = const, so the layer 2i + 2j - k of the vertices (i, j, k) near it has few
    values: a table over (i, j, layer) has all that a plane may touch, wherever it is placed.
    """

    height: int
    width: int
    period: float

    @property
    def corner(self) -> tuple[float, float, float]:
        """Where the pixel (0, 0) is."""
        return (self.width - 1) / (3 * self.period), (self.height - 1) / (3 * self.period), 0.0

    @property
    def table(self) -> tuple[int, int]:
        """How many i and j."""
        down, right = (self.height - 1) / self.period, (self.width - 1) / self.period
        return math.ceil((2 * down + right) / 3) + 2, math.ceil((2 * right + down) / 3) + 2

    @property
    def vertices(self) -> int:
        return math.prod(self.table) * _LAYERS

    def pixels(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """x and y of every pixel, one after the other, of the first one 0."""
        places = torch.arange(self.height * self.width, device=like.device)
        y, x = places // self.width, places % self.width
        return x.to(like.dtype), y.to(like.dtype)


def _octave(numbers: Float[Tensor, "fields n"], plane: _Plane) -> Float[Tensor, "fields pixels"]:
    """simplex3 on a plane t = const."""
    place = numbers[:, :3]
    place = torch.stack((place, (place + 0.5) % 1.0), 1).reshape(-1, 3)
    place = (place + place.new_tensor(plane.corner)).T.unsqueeze(2)  # (3, grids, 1)
    lowest = (2.0 * (place[0] + place[1]) - place[2] - 3.0 * _REACH**0.5).ceil()
    slopes = _slopes(numbers[:, 3:].reshape(-1, plane.vertices, 2), place, lowest, plane)
    x, y = plane.pixels(numbers)
    # A point has two vertices of a cubic grid in reach at most: the nearest, and that one's
    # neighbour across the widest gap (from two others the squared distances sum to 1 or more).
    # Where (i, j, layer) stands in the table is linear in (i, j, k): a neighbour is a stride away.
    turned = (y - 0.5 * x, x - 0.5 * y, x + y)
    where = torch.stack([axis * (2 / (3 * plane.period)) for axis in turned]).unsqueeze(1) + place
    near = where.round()
    i, j, k = near
    gap = where.sub_(near)
    strides = _LAYERS * plane.table[1] + 2, _LAYERS + 2, -1
    index = (i * strides[0]).add_(j, alpha=strides[1]).sub_(k).sub_(lowest)
    width, step = gap.abs(), [side.sign().mul_(n) for side, n in zip(gap, strides, strict=True)]
    widest = torch.maximum(width[0], width[1])
    across = torch.where(width[0] >= width[1], step[0], step[1])
    across = torch.where(widest >= width[2], across, step[2])
    widest = torch.maximum(widest, width[2])
    left = _REACH - (gap[0].square() + gap[1].square() + gap[2].square())
    field = _bumps(left, index, slopes, x, y)
    left.add_(widest, alpha=2.0).sub_(1.0)
    return field.add_(_bumps(left, index.add_(across), slopes, x, y)).unflatten(0, (-1, 2)).sum(1)


def _bumps(left: Tensor, index: Tensor, slopes: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(½ - r²)₊⁴ g·(p - v) with the vertex at each place of the table, the second being linear in
    x and y. An index out of the table is of a vertex out of reach."""
    place = index.clamp(0, slopes.shape[2] - 1).long()
    rise, fall, rest = slopes.gather(2, place.expand(3, -1, -1))
    weight = left.clamp(min=0.0).square_().square_()
    return rest.addcmul_(rise, x).addcmul_(fall, y).mul_(weight)


def _slopes(
    numbers: Float[Tensor, "grids vertex 2"], place: Tensor, lowest: Tensor, plane: _Plane
) -> Float[Tensor, "3 grids vertex"]:
    """(a, b, c) with g·(p - v) = a x + b y + c at the pixel (x, y), for every vertex of the table.

    The g are uniform on the sphere (Archimedes): the height is uniform, and so is the angle.
    """
    height, angle = 2.0 * numbers[..., 0] - 1.0, math.tau * numbers[..., 1]
    ring = (1.0 - height.square()).sqrt_()
    g = height, ring * angle.cos(), ring * angle.sin()
    sides = (*plane.table, _LAYERS)
    axes = (torch.arange(n, dtype=ring.dtype, device=ring.device) for n in sides)
    i, j, layer = (axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij"))
    k = 2.0 * (i + j) - layer - lowest
    rest = g[0] * (place[0] - i) + g[1] * (place[1] - j) + g[2] * (place[2] - k)
    both = 2.0 * (g[0] + g[1] + g[2])
    return torch.stack(
        (
            (both - 3.0 * g[0]) / (3.0 * plane.period),
            (both - 3.0 * g[1]) / (3.0 * plane.period),
            rest,
        )
    )

"""Simplex noise: octaves of smooth random bumps."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from hush.errors import UserError
from hush.noise.base import Event, NoiseLaw, State
from hush.rng import Streams

_REACH = 0.5  # r²: a vertex acts up to the far faces of the simplices it is a corner of, no further
_LAYERS = 5  # of a grid that a plane has within reach: 2·√½, and they are a third apart
_VARIANCE = 4 * math.pi / 3 * _REACH**10.5 * math.gamma(2.5) * math.gamma(9) / math.gamma(11.5)


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
        size = (event[-2], event[-1])
        periods = [self.frequency / 2**i for i in range(self.octaves)]
        needs = [3 + 4 * math.prod(_table(size, period)) for period in periods]
        numbers = rng.uniform((math.prod(event[:-2]), sum(needs))).flatten(0, 1).split(needs, -1)
        field, total = 0.0, 0.0
        for i, (share, period) in enumerate(zip(numbers, periods, strict=True)):
            field = field + self.persistence**i * _octave(share, size, period, dtype)
            total += self.persistence ** (2 * i)
        return (field / (total * _VARIANCE) ** 0.5).reshape(len(rng), *event)


def _octave(
    numbers: Float64[Tensor, "fields n"], size: tuple[int, int], period: float, dtype: torch.dtype
) -> Float[Tensor, "fields h w"]:
    """simplex3 on a plane t = const, askew in the lattice: two cubic grids, half a cell apart."""
    place = numbers[:, :3]
    place = torch.stack((place, (place + 0.5) % 1.0), 1).reshape(-1, 3)
    directions = _directions(numbers[:, 3:].reshape(len(place), -1, 2)).to(dtype)
    plane = _plane(size, period, numbers.device).to(dtype)
    where = plane.unsqueeze(1) + place.mT.to(dtype)[..., None, None]
    near = where.round()
    gap = where - near
    # A point has two vertices of a cubic grid in reach at most: the nearest, and that one's
    # neighbour across the widest gap (from two others the squared distances sum to 1 or more).
    across = torch.where(gap.abs() == gap.abs().amax(0), gap.sign(), 0.0)
    columns = _table(size, period)[1]
    field = _bumps(near, gap, directions, columns)
    field = field + _bumps(near + across, gap - across, directions, columns)
    return field.unflatten(0, (-1, 2)).sum(1)


def _plane(size: tuple[int, int], period: float, device: torch.device) -> Float64[Tensor, "3 h w"]:
    """The pixels (x, y, 0) in the cubic grids: turned half round the diagonal (1, 1, 1), as the
    skewed simplex lattice stands to its cubes, and moved to where no index is negative."""
    y, x = (torch.arange(n, dtype=torch.float64, device=device) / period for n in size)
    y = y.unsqueeze(1)
    return torch.stack((2 * y + (x[-1] - x), 2 * x + (y[-1] - y), 2 * (x + y))) / 3


def _table(size: tuple[int, int], period: float) -> tuple[int, int, int]:
    """How many vertices (i, j, layer) of a grid a plane may touch, wherever it is placed."""
    down, right = ((length - 1) / period for length in size)
    rows, columns = (math.ceil(span / 3) + 2 for span in (2 * down + right, 2 * right + down))
    return rows, columns, _LAYERS


def _bumps(vertex: Tensor, gap: Tensor, directions: Tensor, columns: int) -> Tensor:
    """(½ - ‖gap‖²)₊⁴ g·gap with the gradient g of each vertex (3, grids, h, w). The plane is
    2x + 2y - z = const, so the layer 2i + 2j - k has few values near it, and tells the vertices
    over (i, j) apart even modulo `_LAYERS`."""
    i, j, k = vertex.long()
    index = ((i * columns + j) * _LAYERS + (2 * (i + j) - k) % _LAYERS).flatten(1)
    slopes = directions.gather(2, index.expand(3, -1, -1)).reshape(gap.shape)
    weight = (_REACH - gap.square().sum(0)).clamp(min=0.0).square().square()
    return weight * (slopes * gap).sum(0)


def _directions(numbers: Float64[Tensor, "grids n 2"]) -> Float64[Tensor, "3 grids n"]:
    """Points uniform on the sphere (Archimedes): the height is uniform, and so is the angle."""
    height, angle = 2.0 * numbers[..., 0] - 1.0, math.tau * numbers[..., 1]
    ring = (1.0 - height**2).sqrt()
    return torch.stack((height, ring * angle.cos(), ring * angle.sin()))

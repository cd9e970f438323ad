"""What the data say of noise: from the least that hides something to what hides everything."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hush.codecs.affine import Affine
from hush.processes import GaussianProcess
from hush.system import System
from hush.training.measuring import examples

PAIRED = 2048  # x_0 of which all pairs are measured
NUMBERS = 1 << 26  # that are held for it


@dataclass(frozen=True)
class Noise:
    """Data in units of x_0.

    deviation   σ_data, the root of the mean square of x_0 around its mean
    spacing     from one grey level to the next; None where they are continuous
    farthest    the largest distance of two of `PAIRED` x_0
    count       of how many
    """

    deviation: float
    spacing: float | None
    farthest: float
    count: int

    @property
    def least(self) -> float | None:
        """The deviation Δ/√12 of what rounding to levels Δ apart has already added: noise below it
        hides nothing that the data hold."""
        return None if self.spacing is None else self.spacing / math.sqrt(12.0)


def measured(system: System, data: Any, seed: int = 0) -> Noise | None:
    """What noise a system's x_0 want, its codec being fitted; None of a system of no Gaussian
    noise.

    The largest noise is as large as the largest distance between data, so that any may turn into
    any other: Song and Ermon 2020, "Improved techniques for training score-based generative
    models", technique 1.
    """
    if not isinstance(system.denoiser.process, GaussianProcess):
        return None
    count = total = squares = 0.0
    kept: list[Tensor] = []
    most = PAIRED
    for example in examples(system, data, seed):
        cond = system.codec.told(example.cond)
        device = next(system.denoiser.parameters()).device
        x_0 = system.codec.encode(example.data.to(device), cond).double().cpu().flatten(1)
        count, total = count + x_0.numel(), total + float(x_0.sum())
        squares += float(x_0.square().sum())
        most = max(2, min(PAIRED, NUMBERS // x_0.shape[1]))
        kept.append(x_0[: max(0, most - sum(map(len, kept)))])
    mean = total / count
    codec = system.codec
    levels = isinstance(codec, Affine) and int(codec.levels) > 1
    rows = torch.cat(kept)
    return Noise(
        math.sqrt(max(0.0, squares / count - mean**2)),
        codec.binned()[0] if levels else None,
        farthest(rows),
        len(rows),
    )


def farthest(x_0: Float[Tensor, "record number"]) -> float:
    """The largest distance of two rows."""
    return max(float(torch.cdist(part, x_0).max()) for part in x_0.split(256))


def reach(system: System) -> tuple[float, float]:
    """(least, largest) σ/α of a system's schedule: of the last step of its grid, and of t = 1."""
    schedule = system.denoiser.process.schedule
    levels = system.grid(schedule)
    last = [level for level in levels if level.sigma > 0.0][-1]
    return last.sigma / last.alpha, levels[0].sigma / max(levels[0].alpha, 1e-300)


def wanted(noise: Noise, known: set[str], largest: float) -> dict[str, Any]:
    """Settings for the largest noise, where a system has one: `sigma_max` of one whose noise
    explodes; the last β of a linear chain of 1000 steps whose σ_T/α_T is too small, r = σ/α being
    reached where ln(1 + r²) = Σ -ln(1 - β_i), about 500 (β_1 + β_T)."""
    if "sigma_max" in known:
        return {"sigma_max": rounded(noise.farthest)}
    if {"chain", "beta_first", "beta_last"} <= known and largest < noise.farthest:
        return {"beta_last": rounded(math.log1p(noise.farthest**2) / 500.0)}
    return {}


def rounded(value: float, digits: int = 2) -> float:
    """Up to so many digits: 7.312 is 7.4."""
    unit = 10.0 ** (math.floor(math.log10(value)) - digits + 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.{digits}g}")

"""The best variance per noise level for a network that has none, measured without training."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from hush.denoisers import Denoiser
from hush.denoisers.variances import Analytic, from_score
from hush.rng import Streams
from hush.schedules import Level
from hush.tensors import Condition


@torch.no_grad()
def analytic(
    denoiser: Denoiser,
    x_0: Tensor,
    levels: Sequence[Level],
    rng: Streams,
    cond: Condition | None = None,
    by: Literal["error", "score"] = "error",
    largest: float = 1.0,
    batch: int = 256,
) -> Analytic:
    """Var[x_0 | x_t] averaged over data, elements and one noised state per level and sample.

    by "error"   E(x_0 - x̂_0)²: the variance that makes the bound of this very mean smallest
    by "score"   σ²/α² (1 - E ε̂²): what the paper has, the same where the mean is exact

    Held to [0, `largest`], 1 being the most that data in [-1, 1] can have.
    Bao et al. 2022, "Analytic-DPM", eq. 8 and section 3.2.
    """
    shares = []
    for place, level in enumerate(levels):
        if level.sigma == 0.0:
            continue
        total = 0.0
        for part in (slice(start, start + batch) for start in range(0, len(x_0), batch)):
            x_t = denoiser.process.marginal(x_0[part], level).sample(rng[part].next(place))
            mean = denoiser(x_t, level, None if cond is None else cond[part]).mean
            if by == "error":
                square = (x_0[part] - mean) ** 2
            else:
                square = ((x_t - level.alpha * mean) / level.sigma) ** 2
            total += square.double().mean().item() * len(x_t) / len(x_0)
        variance = total if by == "error" else from_score(level, total)
        unit = level.sigma**2 / (level.alpha**2 + level.sigma**2)
        shares.append((level.time, min(max(variance, 0.0), largest) / unit))
    times, values = zip(*sorted(shares), strict=True)
    return Analytic((0.0, *times), (values[0], *values))

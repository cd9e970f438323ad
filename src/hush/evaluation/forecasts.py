"""How good told values are: a law, given by samples, against what was there.

Everywhere `samples` are (window, sample, channel, length), `truth` is (window, channel, length),
and `mask`, of the shape of the truth, is true where a value is to be scored: where it was hidden,
and is known. Entries whose truth is NaN are never scored.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from hush.errors import UserError
from hush.evaluation.bootstrap import interval
from hush.evaluation.quantiles import usual_quantiles

LEVELS = tuple(round(0.05 * i, 2) for i in range(1, 20))  # the quantiles that CSDI averages

Samples = Float[Tensor, "window sample channel length"]
Truth = Float[Tensor, "window _ length"]  # the channels are checked, and a sentence says so
Mask = Bool[Tensor, "window _ length"] | None
Entries = Float64[Tensor, "window channel length"]


@dataclass(frozen=True)
class Score:
    """A mean over all scored entries, Σ total / Σ weight over windows (its root, with `root`).

    Two answers to the same windows are compared by Score(a.total - b.total, a.weight).
    """

    total: Float64[Tensor, " window"]
    weight: Float64[Tensor, " window"]
    root: bool = False

    @property
    def value(self) -> float:
        """The mean."""
        return self._of(torch.stack([self.total, self.weight], 1))

    def interval(self, seed: int = 0) -> tuple[float, float]:
        """Its 95 % bootstrap interval over windows. Those that overlap are no independent draws:
        it is then too narrow."""
        return interval(torch.stack([self.total, self.weight], 1), self._of, seed)

    def _of(self, windows: Tensor) -> float:
        total, weight = windows.sum(0).tolist()
        mean = total / weight if weight else math.nan
        return math.sqrt(mean) if self.root else mean


def crps(samples: Samples, truth: Truth, mask: Mask = None) -> Score:
    """The continuous ranked probability score of the samples as they are,

        1/n Σ_i |x_i - y| - 1/(2 n²) Σ_ij |x_i - x_j|,

    in the unit of the truth; of one sample, |x - y|. Gneiting and Raftery 2007, "Strictly proper
    scoring rules, prediction, and estimation", equation 20.
    """
    samples, truth, mask = checked("crps", samples, truth, mask)
    return mean_over(sample_crps(samples, truth), mask)


def fair_crps(samples: Samples, truth: Truth, mask: Mask = None) -> Score:
    """The CRPS of the law the samples are drawn from, without bias: `crps` with n(n - 1) for n².

    Raises `UserError` for fewer than 2 samples. Ferro 2014, "Fair scores for ensemble forecasts".
    """
    samples, truth, mask = checked("fair_crps", samples, truth, mask)
    if samples.shape[1] < 2:
        raise UserError("fair_crps got 1 sample of each window; expected 2 or more, or use crps.")
    return mean_over(sample_crps(samples, truth, fair=True), mask)


def quantile_crps(samples: Samples, truth: Truth, mask: Mask = None) -> Score:
    """The CRPS as CSDI takes it: the mean over the levels .05, .10, … .95 of twice the pinball
    loss of the samples' quantile.

    Leaving out both tails it is no CRPS: for a unit Gaussian about 4 % more. So compare it with
    nothing but itself. Tashiro et al. 2021, "CSDI", appendix.
    """
    samples, truth, mask = checked("quantile_crps", samples, truth, mask)
    levels = torch.tensor(LEVELS, dtype=torch.float64, device=samples.device)
    return mean_over(pinball(usual_quantiles(samples, LEVELS), truth, levels).mean(0), mask)


def csdi_crps(samples: Samples, truth: Truth, mask: Mask = None) -> Score:
    """What CSDI reports: `quantile_crps` summed, over the sum of |truth|. It depends on where the
    unit has its zero."""
    score = quantile_crps(samples, truth, mask)
    _, truth, mask = checked("csdi_crps", samples, truth, mask)
    return Score(score.total, _sums(truth.abs(), mask))


def normalised_crps(samples: Samples, truth: Truth, mask: Mask = None) -> Score:
    """`crps` summed, over the sum of |truth|: as `csdi_crps`, of the exact score."""
    score = crps(samples, truth, mask)
    _, truth, mask = checked("normalised_crps", samples, truth, mask)
    return Score(score.total, _sums(truth.abs(), mask))


def crps_sum(samples: Samples, truth: Truth, mask: Mask = None) -> Score:
    """`crps` of the sum over channels, which tells whether they vary together as they should.

    Scored are the stamps at which every channel is. `summed` gives what any other score needs.
    Salinas et al. 2019, "High-dimensional multivariate forecasting with low-rank Gaussian copula
    processes".
    """
    return crps(*summed(samples, truth, mask))


def summed(
    samples: Samples, truth: Truth, mask: Mask = None
) -> tuple[
    Float[Tensor, "window sample 1 length"],
    Float[Tensor, "window 1 length"],
    Bool[Tensor, "window 1 length"],
]:
    """(samples, truth, mask) of the sum over channels, with one channel."""
    samples, truth, mask = checked("summed", samples, truth, mask)
    return samples.sum(2, keepdim=True), truth.sum(1, keepdim=True), mask.all(1, keepdim=True)


def mae(samples: Samples, truth: Truth, mask: Mask = None) -> Score:
    """The mean absolute error of the samples' median."""
    samples, truth, mask = checked("mae", samples, truth, mask)
    return mean_over((usual_quantiles(samples, (0.5,))[0] - truth).abs(), mask)


def rmse(samples: Samples, truth: Truth, mask: Mask = None) -> Score:
    """The root of the mean squared error of the samples' mean."""
    samples, truth, mask = checked("rmse", samples, truth, mask)
    score = mean_over((samples.mean(1) - truth).square(), mask)
    return Score(score.total, score.weight, root=True)


def sample_crps(
    samples: Float[Tensor, "window sample *event"],
    truth: Float[Tensor, " window *event"],
    fair: bool = False,
) -> Float[Tensor, " window *event"]:
    """The CRPS of every entry, by sorting: with x_(1) ≤ … ≤ x_(n),
    Σ_{i<j} |x_i - x_j| = Σ_i (2i - n - 1) x_(i)."""
    count = samples.shape[1]
    rank = torch.arange(1 - count, count, 2, dtype=samples.dtype, device=samples.device)
    # Around the truth, so that a large common level costs no digits.
    apart = samples - truth.unsqueeze(1)
    spread = torch.einsum("s,ws...->w...", rank, apart.sort(1).values)
    return apart.abs().mean(1) - spread / (count * (count - 1 if fair else count))


def gaussian_crps(
    mean: Float[Tensor, "*shape"],
    deviation: Float[Tensor, "*shape"],
    truth: Float[Tensor, "*shape"],
) -> Float[Tensor, "*shape"]:
    """The CRPS of N(mean, deviation²) at the truth, with z = (truth - mean)/deviation:

    deviation (z (2 Φ(z) - 1) + 2 φ(z) - 1/√π).

    Gneiting et al. 2005, "Calibrated probabilistic forecasting using ensemble model output
    statistics and minimum CRPS estimation", equation 5.
    """
    z = (truth - mean) / deviation
    density = torch.exp(-0.5 * z.square()) / math.sqrt(2.0 * math.pi)
    return deviation * (z * torch.erf(z / math.sqrt(2.0)) + 2.0 * density - 1 / math.sqrt(math.pi))


def pinball(
    quantiles: Float[Tensor, " level *shape"],
    truth: Float[Tensor, "*shape"],
    levels: Float[Tensor, " level"],
) -> Float[Tensor, " level *shape"]:
    """Twice the pinball loss of each quantile, 2 (1[truth ≤ q] - level)(q - truth): its mean over
    all levels in [0, 1] is the CRPS."""
    levels = levels.reshape(-1, *[1] * truth.ndim)
    return 2.0 * ((truth <= quantiles).to(quantiles) - levels) * (quantiles - truth)


def mean_over(entries: Entries, mask: Bool[Tensor, "window channel length"]) -> Score:
    """The score that is the mean of the entries where the mask is true."""
    return Score(_sums(entries, mask), mask.double().sum((1, 2)))


def checked(
    name: str, samples: Tensor, truth: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """In float64, with a mask of what is scored, and 0 where nothing is.

    Raises `UserError` for shapes that do not fit, no samples, and samples that are not finite
    where they are scored.
    """
    wanted = tuple(samples.shape[:1] + samples.shape[2:])
    shapes = [truth.shape, truth.shape if mask is None else mask.shape]
    if samples.ndim != 4 or not samples.shape[1] or any(tuple(s) != wanted for s in shapes):
        raise UserError(
            f"{name} got samples of {tuple(samples.shape)} and truth and mask of "
            f"{' and '.join(str(tuple(shape)) for shape in shapes)}; expected (window, sample, "
            "channel, length) and (window, channel, length)."
        )
    known = ~truth.isnan()
    mask = known if mask is None else mask & known
    good = samples.isfinite().all(1) | ~mask
    if not good.all():
        place = tuple((~good).nonzero()[0].tolist())
        raise UserError(
            f"{name} got samples that are not finite at (window, channel, stamp) {place} and "
            f"{int((~good).sum()):,} entries in all; expected numbers wherever the mask is true."
        )
    samples = samples.double().where(mask.unsqueeze(1), 0.0)
    return samples, truth.double().where(mask, 0.0), mask


def _sums(entries: Tensor, mask: Tensor) -> Tensor:
    return entries.where(mask, 0.0).sum((1, 2))

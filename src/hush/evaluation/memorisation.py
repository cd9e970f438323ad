"""Whether samples are the training records again."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hush.data import Source
from hush.errors import UserError
from hush.evaluation.distances import nearest

FEWEST = 10  # fresh records: fewer say nothing of what is near
NEAR = 0.01  # of the fresh records are called near
CHANCE = 1e-3  # of so many samples near, below which it is no chance
MUCH = 0.1  # of the samples: what nobody would call a few
_BLOCK = 4096  # training records read at once

Distances = Float[Tensor, "_"]


@dataclass(frozen=True)
class Memorisation:
    """Distances of samples to their nearest training record beside those of fresh records.

    With K fresh records, near is no farther than their r-th nearest, r = ⌈K/100⌉. Of n samples that
    are as fresh as they, the number near is beta-binomial (n; r, K + 1 - r), whatever the law.
    """

    share: float
    """Of the samples that are near."""
    interval: tuple[float, float]
    """Its 95 % interval, the radius held fixed (Clopper and Pearson 1934)."""
    expected: float
    """r/(K + 1), the mean share of fresh samples."""
    chance: float
    """Of so many near, or more, if the samples were fresh."""
    statistic: float
    """C_T = (U - nK/2)/√(nK(n + K + 1)/12), U the pairs whose sample lies farther than the fresh
    record: N(0, 1) if the samples are fresh; far below 0 they lie nearer than data do, far above
    they do not reach them. Meehan et al. 2020, "A non-parametric test to detect data-copying"."""
    nearest_sample: float
    """The median distance of the samples."""
    nearest_fresh: float
    """The median distance of the fresh records."""
    fresh: str = "held-out records"
    """What the fresh records are."""

    @property
    def found(self) -> bool:
        """Whether more samples are near than chance makes so."""
        return self.chance < CHANCE

    @property
    def much(self) -> bool:
        """Whether that is what the model does, and not now and then."""
        return self.found and self.interval[0] > MUCH

    def lines(self) -> list[tuple[str, str, str]]:
        """(what, value, how to read it), the rows of a table."""
        low, high = self.interval
        near = f"{100.0 * self.expected:.1f} %"
        return [
            (
                "nearest training record",
                f"{self.nearest_sample:.3g}",
                f"median distance; {self.fresh} are at {self.nearest_fresh:.3g}",
            ),
            (
                "copies",
                f"{100.0 * self.share:.1f} % ({100.0 * low:.1f} to {100.0 * high:.1f})",
                f"samples as close as the closest {near} of {self.fresh}; much above is memorised",
            ),
            (
                "C_T",
                f"{self.statistic:.1f}",
                "nearer than fresh records below -3, farther above 3; 0 ± 1 is ideal",
            ),
        ]

    def __str__(self) -> str:
        share = (
            f"{100.0 * self.share:.1f} % of the samples lie as close to a training record as the "
            f"closest {100.0 * self.expected:.1f} % of {self.fresh}"
        )
        if self.much:
            return f"Memorised: {share}."
        if self.found:
            return f"Some samples are copies: {share}, which is no chance."
        return f"No sign of memorising: {share}."


def memorisation(
    to_train: Distances, fresh_to_train: Distances, fresh: str = "held-out records"
) -> Memorisation:
    """From the distance of each sample, and of each fresh record, to the nearest training record.
    Raises `UserError` for fewer than 10 of either."""
    from scipy import stats

    n, count = len(to_train), len(fresh_to_train)
    if min(n, count) < FEWEST:
        raise UserError(
            f"memorisation got {n} samples and {count} fresh records; expected {FEWEST} or more."
        )
    ours, theirs = (x.double().cpu().numpy() for x in (to_train, fresh_to_train))
    rank = math.ceil(count * NEAR)
    near = int((ours <= np.sort(theirs)[rank - 1]).sum())
    chance = stats.betabinom.sf(near - 1, n, rank, count + 1 - rank)
    interval = stats.binomtest(near, n).proportion_ci(0.95, "exact")
    farther = stats.rankdata(np.concatenate((ours, theirs)))[:n].sum() - n * (n + 1) / 2
    spread = math.sqrt(n * count * (n + count + 1) / 12)
    return Memorisation(
        near / n,
        (float(interval.low), float(interval.high)),
        rank / (count + 1),
        float(chance),
        float((farther - n * count / 2) / spread),
        float(np.median(ours)),
        float(np.median(theirs)),
        fresh,
    )


def nearest_of(
    records: Float[Tensor, " n *event"], source: Source, key: str = "image"
) -> tuple[Distances, Tensor]:
    """The distance (n,) of each to its nearest record of a source, and which that is (n,); the
    source is read a part at a time."""
    best = records.new_full((len(records),), torch.inf)
    index = torch.zeros(len(records), dtype=torch.int64, device=records.device)
    for start in range(0, len(source), _BLOCK):
        places = range(start, min(start + _BLOCK, len(source)))
        found, which = nearest(records, source.read(places)[key].to(records))
        index = torch.where(found < best, which + start, index)
        best = torch.minimum(found, best)
    return best, index


def among(records: Float[Tensor, " n *event"]) -> Distances:
    """The distance of each record to the nearest other: as far as a fresh one is from n - 1."""
    flat = records.flatten(1).double()
    apart = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    return apart.fill_diagonal_(torch.inf).min(1).values

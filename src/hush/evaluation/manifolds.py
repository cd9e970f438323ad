"""Whether samples look like data, and whether all data are among them: balls around each, as large
as reach its k-th neighbour of its own kind, stand for where the two laws live."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from hush.errors import UserError
from hush.evaluation.bootstrap import Measured, about, halves

NEIGHBOURS = 5
NAMES = "precision", "recall", "density", "coverage"

Set = Float[Tensor, "_ dim"]


def manifolds(
    real: Set, fake: Set, other: Set, k: int = NEIGHBOURS, seed: int = 0
) -> dict[str, Measured]:
    """Of samples `fake` against data `real`, each number with its 95 % interval and its floor:

    precision   the share of samples in the ball of any real record: as good as data
    recall      the share of real records in the ball of any sample: none left out
    density     Σ_j Σ_i [fake_j in the ball of real_i]/(k m): 1 for equal laws, whatever they are
    coverage    the share of real records with a sample in their ball: `expected_coverage` for
                equal laws

    An outlier's ball is large, which precision and recall suffer from and the other two do not.
    The intervals are those of `halves` of both sets. The floors of precision and recall are what
    as many `other` real records get in place of the samples; the others are exact. Raises
    `UserError` for sets of 2 k or fewer. Kynkäänniemi et al. 2019, "Improved precision and recall
    metric"; Naeem et al. 2020, "Reliable fidelity and diversity metrics", eq. 3 and 5.
    """
    if min(len(real), len(fake)) <= 2 * k or real.shape[1] != fake.shape[1]:
        raise UserError(
            f"manifolds got sets of {tuple(real.shape)} and {tuple(fake.shape)}; expected two of "
            f"the same dimension, of more than {2 * k}, twice the neighbours."
        )
    real, fake, other = (records.double().cpu() for records in (real, fake, other))
    among, beside, between = _apart(real, fake)

    def of(i: Tensor, j: Tensor) -> Tensor:
        return _counted(among[i][:, i], beside[j][:, j], between[i][:, j], k)

    whole = _counted(among, beside, between, k).tolist()
    drawn = halves(of, (len(real), len(fake)), seed)
    floors = _counted(*_apart(real, other), k).tolist()
    floors[2:] = 1.0, expected_coverage(len(real), len(fake), k)
    tops = (1.0, 1.0, torch.inf, 1.0)
    return {
        name: Measured(whole[i], about(whole[i], drawn[:, i], (0.0, tops[i])), floors[i])
        for i, name in enumerate(NAMES)
    }


def _apart(real: Set, fake: Set) -> tuple[Tensor, Tensor, Tensor]:
    """Distances of real to real, fake to fake, real to fake."""
    return torch.cdist(real, real), torch.cdist(fake, fake), torch.cdist(real, fake)


def _counted(among: Tensor, beside: Tensor, between: Tensor, k: int) -> Float64[Tensor, " 4"]:
    """The four numbers from the distances of real to real, fake to fake and real to fake."""
    # Each is its own nearest, at 0.
    of_real, of_fake = (own.kthvalue(k + 1).values for own in (among, beside))
    held = between <= of_real.unsqueeze(1)
    precision, coverage = held.any(0).double().mean(), held.any(1).double().mean()
    recall = (between <= of_fake).any(1).double().mean()
    return torch.stack((precision, recall, held.double().sum(0).mean() / k, coverage))


def expected_coverage(real: int, fake: int, k: int = NEIGHBOURS) -> float:
    """The mean coverage of n real records by m samples of the same continuous law,

    1 - Π_{i=1}^{k} (n - i)/(n + m - i):

    a record is uncovered if its k nearest of the other n - 1 + m are all real, and every order of
    these is as likely. Naeem et al. 2020, lemma 2.

    >>> expected_coverage(2, 1, 1)
    0.5
    """
    uncovered = 1.0
    for i in range(1, k + 1):
        uncovered *= (real - i) / (real + fake - i)
    return 1.0 - uncovered

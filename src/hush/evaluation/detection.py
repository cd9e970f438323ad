"""How well something is found: scores and masks against the truth."""

import torch
from jaxtyping import Bool, Float, Float64, Int, Shaped
from torch import Tensor

from hush.errors import UserError
from hush.evaluation.classifier import check_labels

Scores = Float[Tensor, "*_"]
Truth = Bool[Tensor, "*_"]
Masks = Bool[Tensor, "_ *_"]


def auroc(scores: Scores, truth: Truth) -> float:
    """P(score of a true element > score of a false one) + ½ P(they are equal), over all pairs of
    `scores` and `truth`, of any one shape: the area under the ROC curve; ½ is chance.

    From the ranks, equal scores sharing theirs, so it is exact. Raises `UserError` for shapes that
    differ, scores that are not numbers, or a truth of one kind. Hanley and McNeil 1982, "The
    meaning and use of the area under a receiver operating characteristic (ROC) curve".
    """
    scores, truth = _scored("auroc", scores, truth)
    _, place, counts = scores.unique(return_inverse=True, return_counts=True)
    counts = counts.double()
    ranks = (counts.cumsum(0) - 0.5 * (counts - 1.0))[place]
    true, false = int(truth.sum()), int((~truth).sum())
    return float((ranks[truth].sum() - 0.5 * true * (true + 1.0)) / true / false)


def dice(prediction: Masks, truth: Masks) -> Float64[Tensor, " _"]:
    """2 |A ∩ B| / (|A| + |B|) of each picture; 1 where nothing is there and nothing was found.

    Raises `UserError` for shapes that differ.
    """
    _same("dice", prediction, truth)
    both = (prediction & truth).flatten(1).sum(1).double()
    sizes = (prediction.flatten(1).sum(1) + truth.flatten(1).sum(1)).double()
    return torch.where(sizes > 0.0, 2.0 * both / sizes, 1.0)


def f1(prediction: Truth, truth: Truth) -> float:
    """2 TP / (2 TP + FP + FN) over all elements: the harmonic mean of precision and recall, and the
    `dice` of all pictures as one. Raises `UserError` for shapes that differ."""
    _same("f1", prediction, truth)
    return float(dice(prediction.reshape(1, -1), truth.reshape(1, -1)))


def best_threshold(scores: Scores, truth: Truth) -> float:
    """The threshold with the largest f1(scores >= threshold, truth), the highest if there are more.

    Chosen on other pictures than those it is tried on, or what it finds is too good. Raises
    `UserError` as `auroc` does.
    """
    scores, truth = _scored("best_threshold", scores, truth)
    scores, order = scores.sort(descending=True)
    found = truth[order].cumsum(0).double()
    harmonic = 2.0 * found / (torch.arange(1, len(found) + 1, device=found.device) + found[-1])
    # Equal scores are taken together, so a threshold stands where the last of them does.
    last = torch.cat((scores[1:] != scores[:-1], truth.new_ones(1)))
    return float(scores[torch.where(last, harmonic, -1.0).argmax()])


def miou(prediction: Int[Tensor, "*_"], truth: Int[Tensor, "*_"], classes: int) -> float:
    """The mean over classes of |A ∩ B| / |A ∪ B|, counted over the pixels of all pictures; classes
    that are neither there nor found are left out.

    Raises `UserError` for shapes that differ, and labels that are not from 0 to `classes` - 1.
    """
    _same("miou", prediction, truth)
    flat = prediction.flatten(), truth.flatten()
    for name, labels in zip(("prediction", "truth"), flat, strict=True):
        check_labels(name, labels, truth.numel(), classes)
    pairs = torch.bincount(classes * flat[0].long() + flat[1].long(), minlength=classes**2)
    pairs = pairs.reshape(classes, classes).double()
    both = pairs.diagonal()
    either = pairs.sum(0) + pairs.sum(1) - both
    return float((both / either)[either > 0].mean())


def _scored(name: str, scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Both flat, the scores in float64."""
    _same(name, scores, truth)
    if scores.isnan().any():
        raise UserError(f"{name} got scores that are NaN; expected numbers.")
    if truth.all() or not truth.any():
        kind = "true" if truth.numel() and truth.all() else "false"
        raise UserError(
            f"{name} got {truth.numel()} elements, all {kind}; expected some of each kind."
        )
    return scores.double().flatten(), truth.flatten()


def _same(name: str, a: Shaped[Tensor, "*_"], b: Shaped[Tensor, "*_"]) -> None:
    if a.shape != b.shape:
        raise UserError(
            f"{name} got {tuple(a.shape)} and {tuple(b.shape)}; expected the same shape."
        )

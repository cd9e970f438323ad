"""How well few labels served: a part of them held out, and read by others too."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hush.evaluation import best_threshold, difference, f1, interval, miou
from hush.system import System
from hush.tasks.change import fit_change
from hush.tasks.features import USUAL, Given, Look
from hush.tasks.segment import fit_ensemble, fit_segmenter

EVERY = 4  # of so many one is held out


@dataclass(frozen=True)
class Score:
    """A number, and its 95 % bootstrap interval over pictures where there are two or more."""

    value: float
    ends: tuple[float, float] | None = None

    @classmethod
    def of(cls, pairs: Tensor, statistic: Callable[[Tensor], float]) -> "Score":
        """Of (answer, truth) side by side, (picture, 2, height, width)."""
        return cls(statistic(pairs), interval(pairs, statistic) if len(pairs) > 1 else None)

    def __str__(self) -> str:
        ends = f" ({self.ends[0]:.3f}-{self.ends[1]:.3f})" if self.ends else ""
        return f"{self.value:.3f}{ends}"


def held(count: int) -> tuple[list[int], list[int]]:
    """(learnt from, held out) of so many labelled pictures: every fourth is held out, none of fewer
    than four.

    >>> held(6)
    ([0, 1, 2, 4, 5], [3])
    """
    out = list(range(EVERY - 1, count, EVERY))
    return [place for place in range(count) if place not in out], out


def judge_change(
    system: System,
    before: Given,
    after: Given,
    changed: Given,
    look: Look = USUAL,
    steps: int = 500,
    seed: int = 0,
) -> dict[str, Score]:
    """F1 of changed pixels in the pairs held out: of a detector that learnt from the others, and of
    the raw difference |a - b| at the threshold that is best on those. Every pixel has a label. {}
    where the pairs are fewer than four, or either part shows but one kind of pixel."""
    learnt, out = held(len(changed))
    truth = changed.bool()
    if not out or any(len(truth[part].unique()) < 2 for part in (learnt, out)):
        return {}
    reader = fit_change(system, before[learnt], after[learnt], changed[learnt], look, steps, seed)
    raw = difference(before, after)[:, 0]
    threshold = best_threshold(raw[learnt], truth[learnt])
    finds = {
        system.name: (reader(before[out], after[out]) > 0.5).to(truth.device),
        "raw difference": raw[out].double() >= threshold,
    }
    return {
        who: Score.of(torch.stack((find, truth[out]), 1), lambda both: f1(both[:, 0], both[:, 1]))
        for who, find in finds.items()
    }


def judge_segment(
    system: System,
    pictures: Given,
    masks: Given,
    classes: Sequence[str],
    look: Look = USUAL,
    steps: int = 1000,
    seed: int = 0,
) -> dict[str, Score]:
    """The mean over classes of |A ∩ B| / |A ∪ B| in the pictures held out: of a segmenter that
    learnt from the others, and of the same ensemble that reads each pixel's own values. Every pixel
    has a label. {} where the pictures are fewer than four."""
    learnt, out = held(len(masks))
    if not out:
        return {}
    some, labels = pictures[learnt], masks[learnt]
    reader = fit_segmenter(system, some, labels, classes, look, steps=steps, seed=seed)
    plain = fit_ensemble(some, labels, len(classes), steps=steps, seed=seed)
    finds = {system.name: reader(pictures[out])[0], "pixels": plain.votes(pictures[out]).argmax(1)}
    return {
        who: Score.of(
            torch.stack((find.to(masks), masks[out]), 1),
            lambda both: miou(both[:, 0], both[:, 1], len(classes)),
        )
        for who, find in finds.items()
    }

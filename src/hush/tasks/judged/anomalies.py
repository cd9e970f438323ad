"""How well anomalies are found, pixel by pixel: a row for each who looked."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from hush.errors import UserError
from hush.evaluation import (
    answers,
    auroc,
    best_threshold,
    blur_residual,
    dice,
    fit_autoencoder,
    interval,
)
from hush.evaluation.held_out import device_of
from hush.system import System
from hush.tasks.detect import Detect, Map

Many = Float[Tensor, "_ channel height width"]
Masks = Bool[Tensor, "count 1 height width"]
Each = Float64[Tensor, " picture"]


@dataclass(frozen=True)
class Found:
    """What one found in each picture that shows an anomaly.

    auroc   P(an anomalous pixel is rated above a sound one) within the picture
    dice    2 |A ∩ B| / (|A| + |B|), at the threshold that is best for the other half of them
    """

    who: str
    auroc: Each
    dice: Each

    def cells(self) -> tuple[str, str, str]:
        """Who, and both means with their 95 % bootstrap intervals."""
        return self.who, *(_told(each) for each in (self.auroc, self.dice))


@torch.no_grad()
def anomaly_maps(
    system: System,
    sound: Many,
    pictures: Many,
    detect: Detect,
    seed: int = 0,
    steps: int = 600,
) -> dict[str, Map]:
    """How odd each pixel is to the run, to an autoencoder taught to repeat the `sound` pictures
    ((x - x̂)², the mean over channels; `steps` of learning), and to a blur (|x - G * x|)."""
    repeater = fit_autoencoder(sound, seed, steps)
    again = answers(repeater, pictures.to(sound))
    found = detect(system, pictures.to(device_of(system)), seed).map
    return {
        system.name: found.to(pictures),
        "autoencoder": (pictures - again.to(pictures)).square().mean(1, keepdim=True),
        "blur residual": blur_residual(pictures),
    }


def found(maps: dict[str, Map], truth: Masks) -> list[Found]:
    """A row for each map. Pictures that are sound, or wholly anomalous, are left out.

    Raises `UserError` for fewer than 2 pictures that show both kinds of pixels.
    """
    both = truth.flatten(1).any(1) & ~truth.flatten(1).all(1)
    truth = truth[both]
    if len(truth) < 2:
        raise UserError(
            f"{len(truth)} of {len(both)} masks show an anomaly and something sound beside it; "
            "expected 2 or more, white where the anomaly is."
        )
    return [_found(who, values[both], truth) for who, values in maps.items()]


def _found(who: str, values: Map, truth: Masks) -> Found:
    ranks = [auroc(one, true) for one, true in zip(values, truth, strict=True)]
    overlap = torch.empty(len(truth), dtype=torch.float64)
    for half in (slice(0, None, 2), slice(1, None, 2)):
        other = torch.ones(len(truth), dtype=torch.bool)
        other[half] = False  # a threshold tried where it was chosen finds too much
        threshold = best_threshold(values[other], truth[other])
        overlap[half] = dice(values[half].double() >= threshold, truth[half])
    return Found(who, torch.tensor(ranks, dtype=torch.float64), overlap)


def _told(each: Float[Tensor, " picture"]) -> str:
    low, high = interval(each)
    return f"{each.mean():.3f} ({low:.3f}-{high:.3f})"

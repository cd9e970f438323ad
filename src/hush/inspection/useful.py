"""How much a model must see until it is of use, from what was measured, and the recipe for that."""

import math
from typing import Any, NamedTuple

from hush.inspection.networks import SERIES


class Useful(NamedTuple):
    """So many samples, and what can then be expected of a model and why."""

    samples: int
    means: str


PER_NUMBER = 1200  # pictures, for each number of one
AGAIN = 2000  # times that each of the data is seen, at most
EXAMINED = 4  # examinations of a run


def useful(task: str, numbers: int, series: bool, count: int) -> Useful | None:
    """Until what a system of this task is of use, for `count` events of so many numbers; None
    where nothing was measured.

    Of digits (64 numbers) 77,000 made a model without classes whose samples are within 1.25 floors
    of real ones in features (`benchmarks/results/quality.md`); others want as many for each of
    their numbers, which is a guess that grows with the size. More than `AGAIN` times, as often as
    DDPM saw CIFAR-10 (800,000 steps of 128), none is seen: few data would be learnt by heart.
    """
    found = _measured(task, numbers, "windows" if series else "pictures")
    if found is None or found.samples <= AGAIN * count:
        return found
    means = f"each of so few is seen {AGAIN:,} times, as DDPM saw CIFAR-10: a guess"
    return Useful(AGAIN * count, means)


def _measured(task: str, numbers: int, what: str) -> Useful | None:
    """What was measured, whatever the number of data."""
    if task in ("generate", "detect"):
        grown = "" if numbers == 64 else f", grown from 64 numbers to {numbers:,}: a guess"
        means = f"drawn {what} are hard to tell from real ones, as digits were{grown}"
        return Useful(PER_NUMBER * numbers, means)
    if task in ("upscale", "restore"):
        samples = 24_000 * max(1, round(numbers / 3072))
        return Useful(samples, "it is sharper than bicubic, as sr3 was on patches of 32x32")
    if task == "impute":
        return Useful(48_000, "it tells gaps better than a Gaussian process, as on elnino")
    return Useful(38_000, "it forecasts as timegrad did stocks") if task == "forecast" else None


def recipe(name: str, width: int | None, batch: int, samples: int) -> dict[str, Any]:
    """Steps, and the rates that go with them: a warm-up of a twentieth and a cosine down to 0, the
    average reaching over a fifth.

    The learning rate is that of the runs which were measured: 2e-3 for a U-Net of width 32 and
    batches of 64 (falling as 1/width, and as the root of smaller batches), 1e-3 for series.
    """
    steps = _rounded(samples / batch)
    rate = 1e-3
    if width is not None and name not in SERIES:
        rate = min(2e-3, 2e-3 * (32 / width) * min(1.0, math.sqrt(batch / 64)))
    return {
        "steps": steps,
        "learning_rate": float(f"{rate:.2g}"),
        "warmup": min(5000, max(steps // 20, min(100, steps // 4))),
        "decay": "cosine",
        "ema": round(min(0.9999, max(0.9, 1.0 - 5.0 / steps)), 4),
        "sample_every": max(1, -(-steps // EXAMINED)),
    }


def _rounded(steps: float) -> int:
    """Up to two digits: 1,203 is 1,300, 77 is 77."""
    unit = 10 ** max(0, math.floor(math.log10(max(1.0, steps))) - 1)
    return max(1, math.ceil(steps / unit - 1e-9) * unit)

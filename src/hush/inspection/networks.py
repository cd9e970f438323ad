"""Networks to choose from, the smallest first."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from hush.inspection.built import takes

RUNGS = ((32, 1), (64, 1), (64, 2), (96, 2), (128, 2))  # width, blocks of a resolution
LAYERS = ((64, 4), (128, 6), (256, 8), (384, 12))  # width, depth of a transformer
MULTIPLIERS = (1, 2, 2, 2, 4)
LEAST = 4  # side of the last resolution
ATTENDED = 256  # places that attention looks over, at most
_V = {"predict": "v"}
_SSSD = {"states": 64, "dropout": 0.1, "beta_last": 0.012, **_V}
SERIES = {
    "csdi": (
        {"width": 32, "depth": 3, "heads": 4, **_V},
        {"width": 64, "depth": 4, "heads": 8, **_V},
    ),
    "sssd": (
        {"width": 32, "depth": 4, **_SSSD, "states": 32},
        {"width": 64, "depth": 8, **_SSSD},
        {"width": 128, "depth": 16, **_SSSD},
        {"width": 256, "depth": 36, **_SSSD, "dropout": 0.0},
    ),
}
"""The first are those that `benchmarks/series.py` measures, the last those of the papers. But all
say v, sssd on a chain that reaches the noise: so they learn sooner there, and tell better."""


def ladder(
    name: str, shape: Sequence[int], said: dict[str, Any], again: float
) -> list[dict[str, Any]]:
    """Settings of networks for events of `shape` (channel, *space), each larger than the one
    before, what the user `said` in all of them; [{}] where a system has but its paper's.

    A U-Net halves until `LEAST` and attends at the first resolution of `ATTENDED` places after the
    whole one. What comes `again` more than a hundred times drops a tenth of its activations.
    """
    if name in SERIES:
        rungs: Iterator[dict[str, Any]] = iter(SERIES[name])
    elif "multipliers" not in takes(name):
        rungs = iter(({},))
    else:
        dropout = {"dropout": 0.1 if again > 100 else 0.0}
        dit = said.get("network") == "dit"
        rungs = ({**each, **dropout} for each in (_dits() if dit else _unets(shape[1:])))
    found: list[dict[str, Any]] = []
    for rung in rungs:
        kept = {key: value for key, value in rung.items() if key not in said}
        if kept not in found:
            found.append(kept)
    return found


def _unets(space: Sequence[int]) -> Iterator[dict[str, Any]]:
    levels = max(1, min(len(MULTIPLIERS), int(math.log2(max(1, min(space) / LEAST))) + 1))
    places = [math.prod(space) / 2 ** (len(space) * level) for level in range(levels)]
    small = [level for level in range(1, levels) if places[level] <= ATTENDED]
    fixed = {"multipliers": MULTIPLIERS[:levels], "attention": tuple(small[:1])}
    return ({"width": width, "blocks": blocks, **fixed} for width, blocks in RUNGS)


def _dits() -> Iterator[dict[str, Any]]:
    return ({"width": width, "depth": depth} for width, depth in LAYERS)


def told(settings: dict[str, Any]) -> str:
    """A network in a few words: "width 32, x1 x2, 1 block, attention at 1"."""
    parts = []
    if "width" in settings:
        parts.append(f"width {settings['width']}")
    if "multipliers" in settings:
        parts.append(" ".join(f"x{each}" for each in settings["multipliers"]))
    for key, one in (("blocks", "block"), ("depth", "layer"), ("heads", "head")):
        if key in settings:
            parts.append(f"{settings[key]} {one}{'s'[: settings[key] != 1]}")
    if "states" in settings:
        parts.append(f"{settings['states']} states")
    if "predict" in settings:
        parts.append(f"saying {settings['predict']}")
    return ", ".join(parts)

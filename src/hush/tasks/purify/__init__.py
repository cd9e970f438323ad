"""Purification: attacked pictures back to where the data are."""

from collections.abc import Mapping

from hush.tasks.purify.adaptive import Adaptive
from hush.tasks.purify.base import Purifier
from hush.tasks.purify.renewed import Deterministic, DiffPure, Guided, Near

PURIFIERS: Mapping[str, Purifier] = {
    "diffpure": DiffPure(),
    "deterministic": Deterministic(),
    "guided": Guided(),
    "adaptive": Adaptive(),
}

__all__ = ["PURIFIERS", "Adaptive", "Deterministic", "DiffPure", "Guided", "Near", "Purifier"]

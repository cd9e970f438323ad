"""Networks tried on the data: as large as the memory and the hours allow."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from hush.data import Source, Windows
from hush.inspection.built import built
from hush.inspection.cost import Footprint, Pace, footprint, pace
from hush.inspection.machine import memory
from hush.inspection.networks import ladder
from hush.inspection.useful import Useful, recipe
from hush.inspection.words import span
from hush.networks import suits
from hush.system import Recipe, System
from hush.world import World

HOURS = 8.0  # a night
RICH = 6  # weights for each number of the data, at most: as many as the digits' network has


@dataclass(frozen=True)
class Terms:
    """What the choosing goes by: a system, what the user said, the hours and bytes there are."""

    name: str
    said: Mapping[str, Any]
    hours: float
    memory: float
    device: torch.device

    @classmethod
    def of(
        cls, name: str, said: Mapping[str, Any], hours: float | None, most: float | None
    ) -> "Terms":
        """With what this machine has, where nothing is said."""
        device = World().device
        return cls(name, said, float(hours or HOURS), float(most or memory(device)), device)


@dataclass(frozen=True)
class Candidate:
    """A network with a batch, as measured here."""

    network: dict[str, Any]
    settings: dict[str, Any]
    system: System
    footprint: Footprint
    part: int | None
    pace: Pace | None = None

    @property
    def recipe(self) -> Recipe:
        """How it would be trained."""
        return self.system.recipe

    @property
    def hours(self) -> float:
        """Of its whole run."""
        return self.pace.hours(self.recipe) if self.pace else math.inf


def climbed(
    data: Source, goal: Useful | None, terms: Terms, fixed: Mapping[str, Any]
) -> tuple[Candidate, str]:
    """The largest network that fits the memory and whose run fits the hours, and why none larger.
    The smallest is taken whatever it costs."""
    again = goal.samples / len(data) if goal else 0.0
    rungs = ladder(terms.name, data.shape, dict(terms.said), again)
    best, larger = None, "the largest there is"
    for network in rungs:
        found = candidate(data, goal, terms, {**fixed, **network}, network)
        rich = found.footprint.weights > RICH * numbers(data)
        if best and rich:
            larger = f"a larger one has more than {RICH} weights for each number of the data"
            break
        if best and found.part is None:
            larger = "a larger one does not fit the memory"
            break
        found = timed(data, found)
        if best and found.hours > terms.hours:
            larger = f"the next would take {span(found.hours)}, more than {terms.hours:g} hours"
            break
        best = found
    return best, larger if len(rungs) > 1 else "as its paper has it"


def candidate(
    data: Source,
    goal: Useful | None,
    terms: Terms,
    settings: dict[str, Any],
    network: dict[str, Any],
) -> Candidate:
    """A network with the batch that suits it, its memory measured."""
    settings = {**settings, **terms.said}
    batch = int(settings.get("batch", 0)) or _batch_for(data, terms)
    system = built(terms.name, data, settings)
    print_ = footprint(system, data, system.recipe)
    accumulate = terms.said.get("accumulate")
    part = batch // accumulate if accumulate else print_.part(batch, terms.memory)
    width = settings.get("width", getattr(settings.get("backbone"), "width", None))
    samples = batch * terms.said["steps"] if "steps" in terms.said else goal and goal.samples
    rates = recipe(terms.name, width, batch, samples) if samples else {}
    if suits("bf16", terms.device) and terms.device.type != "cpu":
        rates["precision"] = "bf16"
    rates |= {"batch": batch, "accumulate": batch // (part or 1)}
    settings = {**settings, **rates, **terms.said}
    return Candidate(network, settings, built(terms.name, data, settings), print_, part)


def timed(data: Source, found: Candidate) -> Candidate:
    """The candidate with its speed measured."""
    return replace(found, pace=pace(found.system, data, found.recipe))


def numbers(data: Source) -> int:
    """How many numbers there are to learn from; of windows those of the table, not each again."""
    return (
        data.table.values.numel()
        if isinstance(data, Windows)
        else len(data) * math.prod(data.shape)
    )


def _batch_for(data: Source, terms: Terms) -> int:
    """What the measured runs had: 64 pictures, 32 windows; twice that on an accelerator; fewer of
    fewer data."""
    usual = 32 if isinstance(data, Windows) else 64
    usual *= 1 if terms.device.type == "cpu" else 2
    return max(1, min(usual, 2 ** int(math.log2(max(1, len(data) // 2)))))

"""The search: every setting of every library, at every number of evaluations."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from peers.flows import Flows
from peers.settings import Setting, TooFew

EVALUATIONS = (5, 8, 10, 15, 20, 50, 100)
HOPE = 4.0  # a setting this many times worse than its own library's best everywhere is let go


@dataclass(frozen=True)
class Result:
    """One setting at one cost: its error on each data set."""

    setting: Setting
    spent: int
    errors: list[float]


@dataclass
class Found:
    """All that one problem gave: results by evaluations, and what failed, sentence by sentence."""

    results: dict[int, list[Result]] = field(default_factory=dict)
    failures: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)

    def note(self, setting: Setting, sentence: str, evaluations: int) -> None:
        """A failure is kept, not hidden."""
        key = (setting.library, setting.method, sentence)
        self.failures.setdefault(key, []).append(f"{setting.options} at {evaluations}")


def tried(flows: Flows, setting: Setting, evaluations: int, found: Found) -> Result | None:
    """One walk; None where the peer raised, gave what is no number, or spent too much."""
    try:
        run, end = setting.walk(flows, evaluations)
    except TooFew:
        return None
    except Exception as error:  # any failure of a peer is a finding
        sentence = (str(error).splitlines() or ["no message"])[0]
        found.note(setting, f"{type(error).__name__}: {sentence}", evaluations)
        return None
    errors = run.errors(end)
    if not all(map(math.isfinite, errors)):
        found.note(setting, "gives NaN or infinity", evaluations)
        return None
    if run.evaluations > evaluations:
        found.note(setting, "spends more evaluations than it was asked for", evaluations)
        return None
    return Result(setting, run.evaluations, errors)


def hopeful(results: Iterable[Result]) -> list[Setting]:
    """The settings worth more evaluations: defaults, and what is near its library's best."""
    results = list(results)
    best: dict[str, list[float]] = {}
    for result in results:
        known = best.setdefault(result.setting.library, result.errors)
        best[result.setting.library] = [*map(min, known, result.errors)]
    return [
        one.setting
        for one in results
        if one.setting.default
        or any(e <= HOPE * b for e, b in zip(one.errors, best[one.setting.library], strict=True))
    ]


def search(flows: Flows, settings: list[Setting]) -> Found:
    """Every setting at 5, 8 and 10 evaluations; from there those that are still hopeful."""
    found = Found()
    for evaluations in EVALUATIONS:
        walked = [tried(flows, setting, evaluations, found) for setting in settings]
        found.results[evaluations] = [result for result in walked if result is not None]
        if evaluations >= 10:
            settings = hopeful(found.results[evaluations])
    return found

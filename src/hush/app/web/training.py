"""Trainings that a page has begun, in processes of their own."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hush.app.web.children import Child
from hush.errors import UserError
from hush.networks import Backbone
from hush.systems.index import TABLE, find

SIZES: Mapping[str, list[str]] = {
    "small": ["--width", "32", "--multipliers", "1", "2", "--blocks", "1"],
    "medium": ["--width", "64", "--multipliers", "1", "2", "2", "--blocks", "2"],
    "the paper's": [],
}
EXAMINED = 10  # times that a run is examined on its way
WARM = 20  # share of the steps that the learning rate rises over, one in so many


class Wanted(NamedTuple):
    """A training to begin."""

    system: str
    data: str
    out: Path
    steps: int
    batch: int
    rate: float
    size: str = "small"
    side: int | None = None

    def words(self) -> list[str]:
        """Its command line, without the name of the program. Raises `UserError` for what no command
        line can mean."""
        data = self.data.strip()
        if not data or data.startswith("-"):
            raise UserError("Name the data to learn from: a folder, a file, or digits.")
        if self.size not in SIZES:
            raise UserError(f"There is no size {self.size!r}: choose {', '.join(SIZES)}.")
        every = max(1, self.steps // EXAMINED)
        words = ["train", self.system, "--data", data, "--out", str(self.out)]
        words += SIZES[self.size] if sized(self.system) else []
        words += ["--size", str(self.side)] if self.side else []
        numbers = {"steps": self.steps, "batch": self.batch, "learning-rate": self.rate}
        numbers |= {"warmup": max(1, min(5000, self.steps // WARM)), "ema": _average(self.steps)}
        numbers |= {"report-every": max(1, every // 10), "sample-every": every, "save-every": every}
        return words + [str(word) for pair in numbers.items() for word in (f"--{pair[0]}", pair[1])]


def _average(steps: int) -> float:
    """A decay of the averaged weights that forgets the first tenth of so many steps."""
    return round(min(0.9999, max(0.9, 1.0 - 10.0 / steps)), 5)


def trainable() -> list[str]:
    """The systems that data alone train: those that do not begin from another run."""
    return [name for name in TABLE if not _taken(find(name))]


def _taken(function: Any) -> bool:
    from hush.systems.taken import Taken

    known = inspect.signature(function).parameters.values()
    return any(isinstance(one.default, Taken) for one in known) or "recipe" not in {
        one.name for one in known
    }


def sized(system: str) -> bool:
    """Whether the system's network is a backbone, of which the page offers a few sizes."""
    known = inspect.signature(find(system)).parameters.values()
    return any(isinstance(one.default, Backbone) for one in known)


class Trainings:
    """What was begun, by the folder of its run."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._children: dict[Path, Child] = {}

    def begin(self, wanted: Wanted, outlives: bool = False) -> Child:
        """Begin it. Raises `UserError` where that run is being trained already."""
        before = self.of(wanted.out)
        if before and before.status is None:
            raise UserError(f"{wanted.out.name} is being trained already: watch it, or stop it.")
        words = wanted.words()
        wanted.out.parent.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"train-{len(list(self.logs.iterdir()))}.log"
        self._children[wanted.out] = Child(words, log, outlives)
        return self._children[wanted.out]

    def of(self, run: Path) -> Child | None:
        """The newest training of a run that the page began."""
        return self._children.get(run)

    def close(self) -> list[Path]:
        """Stop those that were not begun to outlive the page, each saving itself; the runs of those
        that go on."""
        working = {run: child for run, child in self._children.items() if child.status is None}
        for child in working.values():
            if not child.outlives:
                child.stop()
        for child in working.values():
            if not child.outlives:
                child.wait()
        return [run for run, child in working.items() if child.outlives]

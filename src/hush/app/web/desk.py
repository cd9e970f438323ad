"""What the page keeps between two clicks: the runs that are loaded, and what each visitor made."""

import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from hush.app.inputs import begun
from hush.app.web.guard import Runs
from hush.app.web.training import Trainings
from hush.app.web.walking import Trajectory
from hush.system import System
from hush.training.run import Run

LOADED = 2  # systems that are kept in memory
WEIGHTS = "ema.safetensors"


class Stop:
    """Whether a visitor wants what was begun for them to end, and how many are before them."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.ask, self.asked = self._asked.set, self._asked.is_set


@dataclass
class Place:
    """A visitor's place on one tab: what was asked last, and what came of it."""

    stop: Stop = field(default_factory=Stop)
    kept: Trajectory = field(default_factory=Trajectory)
    system: System | None = None
    given: Tensor | None = None


class Desk:
    """One page's: the folder of its runs, its own folder, and its visitors."""

    def __init__(self, runs: Runs, shared: bool = False) -> None:
        self.runs, self.shared = runs, shared
        self._folder = tempfile.TemporaryDirectory(prefix="hush-app-")
        self.folder = Path(self._folder.name).resolve()
        (self.folder / "logs").mkdir()
        self.trainings = Trainings(self.folder / "logs")
        self._systems: dict[tuple[Path, int], System] = {}
        self._places: dict[tuple[str, str], Place] = {}
        self._waiting: set[Stop] = set()
        self._lock = threading.Lock()

    def system(self, name: str) -> System:
        """The system of a run with its newest averaged weights. Raises `UserError` for a name that
        leads to no run in the folder."""
        path = self.runs.path(name)
        weights = path / WEIGHTS
        key = (path, weights.stat().st_mtime_ns if weights.exists() else 0)
        with self._lock:
            if key not in self._systems:
                for old in [*self._systems][: max(0, len(self._systems) + 1 - LOADED)]:
                    del self._systems[old]
                self._systems[key] = begun(path, None, series=True)
            return self._systems[key]

    def record(self, name: str) -> dict[str, Any]:
        """What the run's system.json says."""
        return Run(self.runs.path(name)).record

    def begin(self, visitor: str, tab: str) -> int:
        """A new place for a visitor on a tab, what they asked before it ending; how many wait or
        work before them."""
        self.stop(visitor, tab)
        place = self._places[visitor, tab] = Place()
        before = len(self._waiting)
        self._waiting.add(place.stop)
        return before

    def place(self, visitor: str, tab: str) -> Place:
        """Where a visitor stands on a tab."""
        return self._places.get((visitor, tab)) or Place()

    def ended(self, place: Place) -> None:
        """What was asked there is done, or will never be."""
        self._waiting.discard(place.stop)

    def stop(self, visitor: str, tab: str) -> bool:
        """End what a visitor asked on a tab, between two steps; whether anything was going on."""
        place = self.place(visitor, tab)
        place.stop.ask()
        going = place.stop in self._waiting
        self.ended(place)
        return going

    def leave(self, visitor: str) -> None:
        """A visitor has gone."""
        for whose, tab in [key for key in self._places if key[0] == visitor]:
            self.stop(whose, tab)
            del self._places[whose, tab]

    def new_folder(self) -> Path:
        """An empty folder of the page's own, which goes with it."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def close(self) -> list[Path]:
        """End everything; the runs whose training goes on without the page."""
        for visitor, tab in list(self._places):
            self.stop(visitor, tab)
        going = self.trainings.close()
        self._folder.cleanup()
        return going

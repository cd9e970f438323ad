"""What can go wrong with a life. Each hurt is called in its process before it trains.

Where a file of the run is about to be touched Python says so (PEP 578), and what it does not see is
told of here: so a hurt can wait for the n-th touch, of one kind or of any, and then kill or fail.
"""

import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch

CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGES = {"os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "fsync", "save_file"}
LOOKS = {"os.scandir", "os.listdir", "safe_open"}


def die() -> None:
    """As a power cut would, but for what the system already holds."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Fail:
    """Raise the system's error `number`."""

    number: int

    def __call__(self) -> None:
        raise OSError(self.number, os.strerror(self.number))


@dataclass(frozen=True)
class Note:
    """Write down, beside the run, that there was a touch."""

    def __call__(self) -> None:
        pass


@dataclass(frozen=True)
class At:
    """At the touches `first` … `first + times - 1` (from 0) of files of the run do `act`; count
    those that change something, or with `looking` those that only read. `part` of the path may be
    asked for. Curves are let be: they are no part of what a run must keep."""

    first: int
    act: Callable[[], None]
    looking: bool = False
    part: str = ""
    times: int = 1
    tally: Path | None = None

    def __call__(self, out: Path, source: object) -> None:
        count, lock = iter(range(1 << 62)), threading.Lock()

        def touched(event: str, path: object) -> None:
            if not isinstance(path, str | os.PathLike) or not self._mine(out, os.fspath(path)):
                return
            with lock:
                number = next(count)
            if self.tally:
                with open(self.tally, "a") as file:
                    print(event, path, file=file)
            if self.first <= number < self.first + self.times:
                self.act()

        def heard(event: str, arguments: tuple) -> None:
            if event == "open":
                changing = bool((arguments[2] or 0) & CHANGING)
                if changing is not self.looking:
                    touched(event, arguments[0])
            elif event in (LOOKS if self.looking else CHANGES):
                touched(event, _whole(*arguments))

        _told(heard)
        sys.addaudithook(heard)

    def _mine(self, out: Path, path: str) -> bool:
        return path.startswith(str(out)) and "tensorboard" not in path and self.part in path


def _whole(path: object, *more: object) -> object:
    """A path, with the folder it is relative to where that is named by a handle."""
    handle = more[-1] if more and isinstance(path, str) and not path.startswith("/") else None
    whole = isinstance(handle, int) and handle >= 0
    return os.path.join(os.readlink(f"/proc/self/fd/{handle}"), path) if whole else path


def _told(heard: Callable[[str, tuple], None]) -> None:
    """Have `heard` told of what Python's own hooks do not see."""
    fsync, save, look = os.fsync, safetensors.torch.save_file, safetensors.safe_open

    def synced(handle: int) -> None:
        heard("fsync", (os.readlink(f"/proc/self/fd/{handle}"),))
        fsync(handle)

    def saved(tensors: dict, path: Path) -> None:
        save(tensors, path)  # all but its end comes to the disk
        os.truncate(path, os.path.getsize(path) - 9)
        heard("save_file", (path,))
        save(tensors, path)

    def opened(path: Path, kind: str) -> object:
        heard("safe_open", (path,))
        return look(path, kind)

    os.fsync, safetensors.torch.save_file, safetensors.safe_open = synced, saved, opened


@dataclass(frozen=True)
class Small:
    """No file may grow past so many bytes: a write that would is cut short and fails."""

    largest: int

    def __call__(self, out: Path, source: object) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.largest, self.largest))


@dataclass(frozen=True)
class Unreadable:
    """The data raise `error` once, at their `first`-th batch, in a thread that reads ahead."""

    first: int
    error: Exception

    def __call__(self, out: Path, source: object) -> None:
        read, left = type(source).read, iter(range(1 << 62))

        def broken(self_: object, indices: object, draws: object = None) -> object:
            if draws is not None and next(left) == self.first:
                raise self.error
            return read(self_, indices, draws)

        type(source).read = broken


def jumping(out: Path, source: object) -> None:
    """The time of day leaps back and forth by years."""
    clock, calls = time.time, iter(range(1 << 62))
    time.time = lambda: clock() + (-1) ** next(calls) * 3e8

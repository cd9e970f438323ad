"""A run's folder: what is in it, and whose it is.

system.json          name, arguments, data, recipe, choices and why, hush version
model.safetensors    the weights of the newest checkpoint
ema.safetensors      their average: what samples are drawn from
state/000001000/     a whole checkpoint of 1,000 finished steps:
                       model, ema, optimiser, loop .safetensors    (in parts, of a sharded run)
                       state.json        step, samples learnt from, the data's digest
                       checksums.json    CRC-32 of each of these files
metrics.jsonl        one line per report
samples/             grids drawn on the way
tensorboard/         the same reports as curves, and the speed

Nothing in it is code: tensors are safetensors, all else is JSON. The newest two checkpoints are
kept. What is being written bears the name `.NAME.partial`; a checkpoint whose checksums do not fit
is set aside as `damaged-NAME`. A lock, which the system itself drops when a process dies, keeps a
second process out.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import filelock

from hush.errors import UserError
from hush.training import files
from hush.training.stored import Stored

KEPT = 2  # checkpoints that stay on disk: the newest, and one to fall back on
STEP = re.compile("[0-9]{9}|[1-9][0-9]{9,}")  # the name of a checkpoint
PUBLISHED = ("model", "ema")  # what of a checkpoint the run shows at its top
BEGUN = (".lock", ".system.json.partial")  # what is there before there is a run


def jsonable(value: Any) -> Any:
    """Dataclasses as dictionaries and tuples as lists, as they come back from JSON; a field whose
    metadata says "stored": False is left out."""
    if is_dataclass(value):
        kept = [part.name for part in fields(value) if part.metadata.get("stored", True)]
        value = {name: getattr(value, name) for name in kept}
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    return [jsonable(item) for item in value] if isinstance(value, tuple | list) else value


class Run:
    """The folder of one run."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def record(self) -> dict[str, Any]:
        """What `system.json` says: name, arguments, data, hush version."""
        path = self.path / "system.json"
        try:
            if not path.is_file():
                raise FileNotFoundError(path)
            record = json.loads(path.read_text())
            kinds = [type(record.get(key)) for key in ("name", "arguments")]
            if kinds != [str, dict] or len(record["name"]) > 100:
                raise ValueError("it has no name and arguments of a system")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UserError(
                f"{self.path} is not a run: it has no system.json. Expected a folder written by "
                "`hush train … --out FOLDER`."
            ) from error
        except (ValueError, AttributeError, OSError, RecursionError) as error:
            raise UserError(f"{path} cannot be read as the record of a run: {error}.") from error
        return record

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other process from training in this folder. Raises `UserError` where one
        already does."""
        self._claimable()
        lock = filelock.FileLock(self.path / ".lock", timeout=5.0)

        with files.writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire()
            except filelock.Timeout as error:
                raise UserError(
                    f"{self.path} is being trained by another process: wait until it ends, or "
                    "choose another --out."
                ) from error
        try:
            yield
        finally:
            lock.release()

    def _claimable(self) -> None:
        with files.reading(self.path), suppress(FileNotFoundError):
            self.path.stat()  # raises for a name that no folder can have
        if (self.path / "system.json").exists():
            _ = self.record  # raises where it cannot be read
        elif self.path.exists() and (
            not self.path.is_dir() or any(file not in BEGUN for file in self._names(self.path))
        ):
            raise UserError(
                f"{self.path} already holds other files and no run: choose a new --out."
            )

    def claim(self, record: dict[str, Any]) -> None:
        """Make this folder the run of `record`, or check that it already is; what does not make it
        another run (most of the recipe, say) is brought up to date. What a process that died left
        half-written goes."""
        path = self.path / "system.json"
        for folder in (self.path, self.path / "state"):
            for name in self._names(folder):
                if name.startswith(".") and name.endswith(".partial"):
                    with files.writing(folder / name):
                        files.remove(folder / name)
        if path.exists():
            before = self.record
            if "choices" in before:  # whoever goes on by saying them all keeps why they were made
                record = {"choices": before["choices"], **record}
            if before == record:
                return
            self._check(before, record)
        files.write(path, lambda aside: aside.write_text(json.dumps(record, indent=2) + "\n"))

    def _check(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        if old["name"] != new["name"]:
            raise UserError(
                f"{self.path} is a run of {old['name']}, not of {new['name']}: choose another "
                "--out, or train the same system to go on."
            )
        fixed = [("arguments", key) for key in new["arguments"]]
        fixed += [("recipe", key) for key in ("seed", "held_out") if key in old.get("recipe", {})]
        for part, key in fixed:
            for name, before, now in _changes(key, old[part].get(key), new[part][key]):
                raise UserError(
                    f"{self.path} was begun with {name} = {before}, not {now}: choose another "
                    "--out, or the same settings to go on."
                )

    def folder(self, step: int) -> Path:
        """Where the checkpoint of `step` finished steps lies, or would."""
        return self.path / "state" / f"{step:09d}"

    def checkpoints(self) -> list[int]:
        """The steps of the checkpoints, oldest first."""
        names = self._names(self.path / "state")
        return sorted(int(name) for name in names if STEP.fullmatch(name))

    def _names(self, folder: Path) -> list[str]:
        """What lies in a folder; nothing, where there is none. One that cannot be read is not
        taken for empty."""
        with files.reading(folder), suppress(FileNotFoundError):
            return os.listdir(folder)
        return []

    def newest(self, tell: Callable[[str], None]) -> int | None:
        """The step of the newest whole checkpoint; a damaged one is set aside by name and the one
        before is used. None where there is none yet."""
        for step in reversed(self.checkpoints()):
            folder = self.folder(step)
            try:
                _verify(folder)
            except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
                aside = folder.with_name(f"damaged-{folder.name}")
                with files.writing(aside):
                    files.remove(aside)
                    folder.rename(aside)
                tell(f"The checkpoint {folder} is damaged ({error}); it is kept as {aside.name}.")
                continue
            self.publish(step)  # who wrote it may have died before
            return step
        if any(name.startswith("damaged-") for name in self._names(self.path / "state")):
            raise UserError(
                f"No whole checkpoint is left in {self.path / 'state'}: choose another --out to "
                "begin anew, or bring back an older copy of that folder."
            )
        return None

    def state(self, step: int) -> dict[str, Any]:
        """What the checkpoint of a step says of where it stands."""
        path = self.folder(step) / "state.json"
        with files.reading(path):
            state = json.loads(path.read_text())
            if not isinstance(state, dict) or not {"samples", "data"} <= state.keys():
                raise ValueError("it does not say how far the run is")
            if not isinstance(state["samples"], int) or state["samples"] < 0:
                raise ValueError(f"samples = {state['samples']!r}")
        return state

    def publish(self, step: int) -> None:
        """Show a checkpoint's weights at the top of the run, and drop what need not be kept. Parts
        are put together."""
        folder = self.folder(step)
        for name in PUBLISHED:
            files.write(self.path / f"{name}.safetensors", _single(folder, name))
        kept = {*self._regular()[-KEPT:], step}
        self._drop([old for old in self.checkpoints() if old < step and old not in kept])

    def _regular(self) -> list[int]:
        """The steps of the checkpoints that a run has too which nothing ever stopped."""
        found = []
        for step in self.checkpoints():
            with suppress(UserError):
                found += [step] if self.state(step).get("on_time", True) else []
        return found

    def _drop(self, steps: list[int]) -> None:
        for step in steps:
            with files.writing(self.folder(step)):
                files.drop(self.folder(step))

    def back(self, returns: int) -> int:
        """The step to return to for the first time, the second …: that of the newest checkpoint,
        then ever older ones; those made because the run was stopped do not count. Those of later
        steps are dropped, for they led nowhere."""
        every = self.checkpoints()
        steps = self._regular() or every
        step = steps[-min(returns, len(steps))]
        self._drop([later for later in reversed(every) if later > step])
        return step


def _changes(name: str, before: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    """(name, before, now) of what differs, inside of dictionaries too."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in now:
            yield from _changes(key, before.get(key), now[key])
    elif before != now:
        yield name, before, now


def _single(folder: Path, name: str) -> Callable[[Path], None]:
    """What makes one file of a checkpoint's tensors: a second name for the one, or of its parts."""
    single = folder / f"{name}.safetensors"
    if single.exists():
        return lambda aside: files.link(single, aside)
    return lambda aside: Stored(folder, name).join(aside)


def _verify(folder: Path) -> None:
    """Raises `ValueError` or `OSError` where a file is not what was written."""
    sums = json.loads((folder / "checksums.json").read_text())
    if "state.json" not in sums:
        raise ValueError("its checksums are not whole")
    for name, expected in sums.items():
        if Path(name).name != name or not (folder / name).is_file():
            raise ValueError(f"{name} is not there")
        if files.checksum(folder / name) != expected:
            raise ValueError(f"{name} is not what was written")

"""Checkpoints are written beside the loop: it copies its tensors and goes on."""

import json
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import safetensors.torch
from torch import Tensor

from hush.errors import Elsewhere
from hush.training import files
from hush.training.run import Run
from hush.training.stored import Tensors, part_name, snapshot
from hush.world import World


class Saver:
    """Writes the checkpoints of a run, one at a time, in a thread.

    Where the tensors are `sharded` every process writes the rows it has and says so by a file of
    checksums; the main one waits for all of these and puts the checkpoint in place. Else the main
    process writes alone. No process talks to another for it but through the folder, which all of
    them see.
    """

    def __init__(self, run: Run, world: World, sharded: bool = False) -> None:
        self.run, self.world = run, world
        self.parts = world.size if sharded else 1
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hush-save")
        self._doing: Future[None] | None = None
        self._left = Event()

    def save(self, step: int, tensors: dict[str, Tensors], state: dict[str, Any]) -> None:
        """Copy `tensors`, by file, and begin to write the checkpoint of `step` finished steps.
        Waits for the one before, and raises what went wrong with it."""
        self.finish()
        writes = self.world.main or self.parts > 1
        if not writes or not self._begun(step):
            return
        copied = {name: snapshot(part, self.world.main) for name, part in tensors.items()}
        self._doing = self._pool.submit(self._write, step, copied, {**state, "step": step})

    def _begun(self, step: int) -> bool:
        """Whether there is something to write, and a folder for it: it is there before any process
        writes, so that whoever misses it later knows that another one failed."""

        def begin() -> bool:
            folder = self.run.folder(step)
            with files.writing(folder):
                if not folder.exists():
                    files.aside(folder).mkdir(parents=True, exist_ok=True)
            return not folder.exists()

        return begin() if self.parts == 1 else self.world.first(begin)

    def check(self) -> None:
        """Raises `UserError` where a checkpoint could not be written."""
        if self._doing and self._doing.done():
            self.finish()

    def finish(self) -> None:
        """Wait for the checkpoint that is being written. Raises what went wrong with it."""
        if self._doing:
            doing, self._doing = self._doing, None
            doing.result()

    def close(self) -> None:
        """Give up what is being written, if anything is."""
        self._left.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _write(self, step: int, tensors: dict[str, Tensors], state: dict[str, Any]) -> None:
        folder = self.run.folder(step)
        with files.writing(folder):
            self._fill(files.aside(folder), tensors, state)
            if self.world.main:
                files.publish(folder)
        if self.world.main:
            self.run.publish(step)

    def _fill(self, aside: Path, tensors: dict[str, Tensors], state: dict[str, Any]) -> None:
        sums = {}
        for name, part in tensors.items():
            if part or self.world.main:
                file = aside / part_name(name, self.world.rank, self.parts)
                sums[file.name] = _saved(file, part)
        if not self.world.main:
            _told(aside / _sums_name(self.world.rank), sums)
        else:
            others = [self._heard(aside / _sums_name(rank)) for rank in range(1, self.parts)]
            (aside / "state.json").write_text(json.dumps(state, indent=2) + "\n")
            sums["state.json"] = files.checksum(aside / "state.json")
            every = {name: value for part in (sums, *others) for name, value in part.items()}
            (aside / "checksums.json").write_text(json.dumps(every, indent=2) + "\n")

    def _heard(self, path: Path) -> dict[str, int]:
        """The checksums another process wrote, as soon as they are there."""
        while not path.exists():
            if self._left.wait(0.02) or not path.parent.exists():
                raise Elsewhere(f"{path.parent} was given up: another process could not write.")
        sums = json.loads(path.read_text())
        path.unlink()
        return sums


def _saved(file: Path, tensors: dict[str, Tensor]) -> int:
    safetensors.torch.save_file(tensors, file)
    files.flush(file)
    return files.checksum(file)


def _sums_name(rank: int) -> str:
    return f"part-{rank:05d}.json"


def _told(path: Path, sums: dict[str, int]) -> None:
    files.write(path, lambda aside: aside.write_text(json.dumps(sums)))

"""Lives of one run: processes that train in its folder until it is done, or something ends them.

All are forked from a server that has imported torch and hush and has done nothing with them, so
that a life costs milliseconds before its first step.
"""

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from hush import systems
from hush.data import InMemory
from hush.errors import UserError
from hush.networks import Backbone
from hush.rng import Streams
from hush.training.loop import train

HOW = {
    "steps": 240,
    "batch": 8,
    "accumulate": 2,
    "learning_rate": 1e-3,
    "warmup": 2,
    "report_every": 5,
    "sample_every": 60,
    "save_every": 7,
    "held_out": 0.2,
    "log_records": True,
}
SHORT = {**HOW, "steps": 20, "sample_every": 11}
PATIENCE = 60  # seconds until a life that should have ended is a failure
DONE, REFUSED = 0, 2  # how a life that nobody killed ends

_lives = multiprocessing.get_context("forkserver")
_lives.set_forkserver_preload(
    ["pytest", "torch._dynamo", "hush.training.loop", "hush.systems.ddpm", "tensorboard.summary"]
)


def sampled(values: object, often: object) -> list:
    """Parameters of which only those met `often` are tried by the ordinary suite."""
    rare = pytest.mark.faults
    return [value if value in often else pytest.param(value, marks=rare) for value in values]


class Death(NamedTuple):
    """How a life ended: its exit status (-9 where it was killed) and what it said."""

    status: int
    said: str


def data():
    images = (Streams.of(1, 40).uniform((1, 4, 4)) * 16).round() / 16
    return InMemory(images.float(), torch.arange(40) % 3, levels=17)


def model():
    torch.manual_seed(3)
    network = Backbone(width=4, multipliers=(1,), blocks=1, attention=(), dropout=0.2)
    return systems.ddpm((1, 4, 4), ("0", "1", "2"), network)


def _life(out, how, before, said):
    sys.stderr = said.open("w", buffering=1)
    torch.set_num_threads(1)
    source = data()
    for hurt in before:
        hurt(out, source)
    try:
        train(model(), source, out, **how)
    except UserError as error:
        print(f"hush: {error}", file=sys.stderr)
        sys.exit(REFUSED)


class Life:
    """A process that trains. `before` are called in it first, with the run folder and the data."""

    def __init__(self, out: Path, how: dict, *before: Callable) -> None:
        self.out, self.said = out, out.with_name(f"{out.name}.said")
        self.said.write_text("")
        arguments = (out, how, before, self.said)
        self._process = _lives.Process(target=_life, args=arguments, daemon=True)
        self._process.start()

    @property
    def over(self) -> bool:
        return not self._process.is_alive()

    @property
    def trains(self) -> bool:
        """Whether it has begun, or gone on, and so listens to signals."""
        said = self.said.read_text()
        return "records to learn from" in said or "Going on" in said

    def send(self, number: int) -> None:
        if not self.over:
            os.kill(self._process.pid, number)

    def end(self) -> Death:
        """How it ended, once it has."""
        self._process.join(PATIENCE)
        if not self.over:
            self._process.kill()
            raise AssertionError(f"a life in {self.out} did not end: {self.said.read_text()}")
        return Death(self._process.exitcode, self.said.read_text())

    def see(self, sight: Callable[[], bool]) -> bool:
        """Wait, looking without rest, until there is something to see; False if it ended first."""
        while not sight():
            if self.over:
                return False
        return True

    def kill(self) -> Death:
        self.send(signal.SIGKILL)
        return self.end()


def lived(out: Path, how: dict, *before: Callable) -> Death:
    """A whole life, to its end."""
    return Life(out, how, *before).end()


def began(out: Path) -> bool:
    return (out / "metrics.jsonl").exists()


def unbroken(folder: Path, how: dict) -> tuple[dict[str, bytes], float]:
    """What a run that nothing ever stopped leaves behind, and how long it takes, in seconds."""
    began = time.perf_counter()
    death = lived(folder / "unbroken", how)
    assert death.status == DONE, death.said
    return kept(folder / "unbroken", how), time.perf_counter() - began


def kept(out: Path, how: dict) -> dict[str, bytes]:
    """What every run of one recipe must leave behind alike, byte for byte."""
    last = out / "state" / f"{how['steps']:09d}"
    files = [*out.glob("*.jsonl"), *out.glob("*.safetensors"), *out.rglob("*.png"), *last.iterdir()]
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


def check_same(out: Path, how: dict, whole: dict[str, bytes]) -> None:
    """A run that is over is the one that nothing ever stopped, and has left nothing half-written;
    of every step its records are there once."""
    found = kept(out, how)
    assert found.keys() == whole.keys()
    differing = [name for name in whole if found[name] != whole[name]]
    assert not differing
    assert not list(out.rglob(".*.partial"))
    lines = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, how["steps"] + 1))
    seen = [record for line in lines for record in line["records"]]
    epochs = [seen[start : start + 32] for start in range(0, len(seen), 32)]
    assert all(len(set(epoch)) == len(epoch) for epoch in epochs)


@contextmanager
def unhurt(out: Path):
    """Nothing in a folder is changed while this lasts."""
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    yield
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before

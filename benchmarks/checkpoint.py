"""What checkpoints cost the training loop.

    python benchmarks/checkpoint.py [FOLDER]     # about five minutes, on one thread

Two U-Nets learn digits in the loop of `hush.train`. It comes by a place to save every 15 steps and
saves at every other one, so that each stretch of 15 steps with a checkpoint has one without beside
it. The first five steps of a stretch, in which a checkpoint is copied and written, less as many of
its others are what the loop lost; the stretches without one tell how well that can be measured.
Writes benchmarks/results/checkpoint.md. FOLDER says on whose disk: the temporary files' by default.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import safetensors.torch
import torch

import hush
from hush.data import digits
from hush.networks import Backbone
from hush.training import files, saver
from hush.training.loop import Loop
from hush.training.progress import Line
from hush.training.run import Run
from hush.training.saver import Saver
from hush.training.trainer import Trainer
from hush.world import World

STRETCH, WRITTEN = 15, 5  # steps between two places to save; those in which a checkpoint is written
EVERY = (50, 200, 1000)  # steps between two checkpoints, the last by default
PROMISE = 0.02  # of the loop's time
DEMO = Backbone(width=32, multipliers=(1, 2), blocks=1, attention=(1,), dropout=0.0)
LARGER = replace(DEMO, width=96, blocks=2)
CASES = {"the demo's": (DEMO, 64, 26), "larger": (LARGER, 8, 26)}  # network, batch, stretches
PARTS = {
    "copying": (saver, "snapshot"),
    "writing": (safetensors.torch, "save_file"),
    "fsync": (files, "flush"),
    "checksums": (files, "checksum"),
}
# Weights, and FLOPs of a step on one GPU: thrice a forward pass, counted by torch.
GPUS = {
    "U-Net, 38.3 M, 32x32, 128 samples a GPU": (38.31e6, 3 * 12.45e9 * 128),
    "U-Net, 398 M, 64x64, 32 a GPU": (397.5e6, 3 * 259.8e9 * 32),
    "DiT, 1,380 M, 32x32x4, 64 a GPU": (1380e6, 3 * 238.6e9 * 64),
}
FLOPS, SPEEDS = 0.30 * 989e12, {"25 GB/s": 25e9, "3 GB/s": 3e9}
BYTES = 16  # of a checkpoint, a weight: itself, its average, two moments


@dataclass
class Clock:
    """When steps ended, what saving, writing (wall and processor) and its parts took: seconds."""

    steps: list[float]
    waits: list[float]
    writes: list[tuple[float, float]]
    parts: dict[str, float]


class Ticking(Line):
    """The line of progress, which notes when a step ends."""

    clock: Clock

    def advance(self) -> None:
        """Note when."""
        self.clock.steps.append(time.perf_counter())


class EverySecond(Loop):
    """The loop, which passes by every second place to save."""

    clock: Clock
    places = 0

    def _save(self) -> None:
        self.places += 1
        if self.places % 2:
            began = time.perf_counter()
            super()._save()
            self.clock.waits.append(time.perf_counter() - began)


class Watched(Saver):
    """The saver, which notes what its thread takes."""

    clock: Clock

    def _write(self, *args: Any) -> None:
        began, worked = time.perf_counter(), time.thread_time()
        super()._write(*args)
        self.clock.writes.append((time.perf_counter() - began, time.thread_time() - worked))


def main() -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    lines, began = [], time.perf_counter()
    for name, (backbone, batch, stretches) in CASES.items():
        with tempfile.TemporaryDirectory(dir=next(iter(sys.argv[1:]), None)) as folder:
            said = measured(name, backbone, batch, stretches, Path(folder))
        print("\n".join(said), flush=True)
        lines += said
    lines += on_gpus()
    results = Path(__file__).parent / "results" / "checkpoint.md"
    results.write_text("\n".join([*heading(time.perf_counter() - began), *lines]) + "\n")


def measured(name: str, backbone: Backbone, batch: int, stretches: int, folder: Path) -> list[str]:
    """The lines of one network."""
    data = digits()
    torch.manual_seed(0)
    model = hush.systems.improved_ddpm(
        data.shape, data.classes, backbone, data.levels, chain=1000, predict="v", variance="small"
    )
    every = {"save_every": STRETCH, "report_every": STRETCH, "sample_every": 10**9}
    recipe = replace(model.recipe, batch=batch, **every)
    world, run = World(device=torch.device("cpu")), Run(folder)
    line = Ticking(recipe.steps, show=False)
    trainer = Trainer(model, recipe, world)
    loop = EverySecond(trainer, data, run, line)
    loop.saver = Watched(run, world)
    clock = Clock([], [], [], dict.fromkeys(PARTS, 0.0))
    line.clock = loop.clock = loop.saver.clock = clock
    with timed(clock.parts):
        loop.run(lambda: len(clock.steps) >= stretches * STRETCH)
    newest = run.folder(run.checkpoints()[-1])
    size = sum(file.stat().st_size for file in newest.iterdir())
    weights = sum(p.numel() for p in trainer.denoiser.parameters())
    return told(f"{name} U-Net: {weights / 1e6:.2f} M weights, batches of {batch}", clock, size)


@contextmanager
def timed(spent: dict[str, float]) -> Iterator[None]:
    """Add up, under their names, the seconds that `PARTS` take."""

    def noting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            answer = function(*args, **kwargs)
            spent[name] += time.perf_counter() - began
            return answer

        return call

    with ExitStack() as stack:
        for name, (owner, word) in PARTS.items():
            stack.enter_context(mock.patch.object(owner, word, noting(name, getattr(owner, word))))
        yield


def told(title: str, clock: Clock, size: int) -> list[str]:
    """What a clock says, as a section."""
    took = [0.0] + [after - before for before, after in pairwise(clock.steps)]  # the first: unknown
    stretches = [took[i : i + STRETCH] for i in range(0, len(took), STRETCH)][2:]
    step = statistics.median(t for stretch in stretches for t in stretch)
    costs = [sum(s[:WRITTEN]) - WRITTEN * statistics.median(s[WRITTEN:]) for s in stretches]
    saved, plain = costs[0::2], costs[1::2]  # stretches 0, 2 … begin with a checkpoint
    cost = statistics.median(saved) - statistics.median(plain)
    wait, count = statistics.median(clock.waits[1:]), len(clock.writes)
    wall, work = (statistics.median(column) for column in zip(*clock.writes, strict=True))
    parts = ", ".join(f"{name} {1e3 * s / count:.0f}" for name, s in clock.parts.items())
    shares = [
        f"| {what} | {1e3 * seconds:.0f} | "
        + " | ".join(f"{100 * seconds / (n * step):.2f} %" for n in EVERY)
        + " |"
        for what, seconds in (("the loop waits", wait), ("the loop loses in all", cost))
    ]
    kept = "kept" if max(wait, cost) / (EVERY[-1] * step) < PROMISE else "missed"
    return [
        f"## {title[0].upper()}{title[1:]}",
        "",
        f"A step takes {1e3 * step:.0f} ms ({quartiles([t for s in stretches for t in s])}), "
        f"a checkpoint is {size / 1e6:.1f} MB.",
        "",
        f"| per checkpoint | ms | {' | '.join(f'every {n}' for n in EVERY)} |",
        f"|---|---|{'---|' * len(EVERY)}",
        *shares,
        "",
        f"Quartiles of the waits: {quartiles(clock.waits[1:])}. Of the first {WRITTEN} steps less "
        f"as many others: with a checkpoint {quartiles(saved)} ({len(saved)} stretches), without "
        f"{quartiles(plain)} ({len(plain)}). Beside the loop the thread takes {1e3 * wall:.0f} ms, "
        f"{1e3 * work:.0f} of them on the processor. Means in ms: {parts}. "
        f"At the default of {EVERY[-1]} steps the promise of {100 * PROMISE:g} % is {kept}.",
        "",
    ]


def quartiles(seconds: list[float]) -> str:
    """The first, second and third quartile in milliseconds."""
    low, middle, high = (1e3 * q for q in statistics.quantiles(seconds, n=4))
    return f"{low:.0f}, {middle:.0f}, {high:.0f} ms"


def on_gpus() -> list[str]:
    """The share on a GPU, worked out."""
    rows = []
    for name, (weights, flops) in GPUS.items():
        step, size = flops / FLOPS, BYTES * weights
        shares = [f"{size / speed / (EVERY[-1] * step):.1%}" for speed in SPEEDS.values()]
        cells = (name, f"{1e3 * step:.0f} ms", f"{size / 1e9:.1f} GB", *shares)
        rows.append(f"| {' | '.join(cells)} |")
    return [
        "## On a GPU, worked out and not measured",
        "",
        f"The loop waits while the main process copies {BYTES} bytes a weight. A step is 3 forward "
        "passes (backward is twice forward) at 30 % of 989 TFLOP/s (H100, bf16); a checkpoint "
        f"comes every {EVERY[-1]} steps. The copy goes at 25 GB/s into locked pages, as hush does "
        "it, or at 3 GB/s into fresh ones (both assumed); the first also waits for the locking.",
        "",
        f"| network | step | checkpoint | {' | '.join(f'at {speed}' for speed in SPEEDS)} |",
        f"|---|---|---|{'---|' * len(SPEEDS)}",
        *rows,
        "",
        "Over 2 % the promise is broken. Sharded over N processes each copies its Nth part, and "
        "the shares are divided by N.",
    ]


def heading(seconds: float) -> list[str]:
    """What was run, when and where."""
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    machine = re.search(r"model name\s*: (.*)|$", Path("/proc/cpuinfo").read_text())[1]
    return [
        "# What checkpoints cost the loop",
        "",
        f"`python benchmarks/checkpoint.py`, {date.today()}, commit {commit}, {machine}, shared; "
        f"one thread for the loop and one for the writer; torch {torch.__version__}; "
        f"{seconds:.0f} s. The promise: less than 2 % of the loop's time.",
        "",
    ]


if __name__ == "__main__":
    main()

"""How the benchmarks measure: works taken in turn, medians, ratios round by round."""

import argparse
import multiprocessing
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles

import torch

from hush.networks import Precision, suits

RESULTS = Path(__file__).parent / "results"
Work = Callable[[], object]


def options(about: str, rounds: int, threads: int = 2) -> argparse.ArgumentParser:
    """The options that every benchmark of speed has."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--threads", type=int, default=threads)
    parser.add_argument("--device", default="cpu")
    return parser


def seconds(work: Work, device: torch.device) -> float:
    """What one call takes, the device's part included."""
    if device.type != "cpu":
        torch.accelerator.synchronize()
    began = time.perf_counter()
    work()
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - began


def in_turn(
    works: Mapping[str, Work], rounds: int, device: torch.device, warm: int = 1
) -> dict[str, list[float]]:
    """The seconds of each work in every round, after `warm` rounds that do not count. Every second
    round goes backwards, so that nobody always comes after the same one."""
    took: dict[str, list[float]] = {name: [] for name in works}
    for number in range(-warm, rounds):
        for name in list(works)[:: -1 if number % 2 else 1]:
            each = seconds(works[name], device)
            if number >= 0:
                took[name].append(each)
    return took


@contextmanager
def apart(makers: Mapping[str, Callable[[], Work]], threads: int) -> Iterator[dict[str, "Apart"]]:
    """Each work in a process of its own, so that nobody lives in another's memory."""
    works = {name: Apart(maker, threads) for name, maker in makers.items()}
    try:
        yield works
    finally:
        for work in works.values():
            work.process.kill()


class Apart:
    """A work that another process makes and does whenever this one calls it."""

    def __init__(self, maker: Callable[[], Work], threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._end, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, maker, threads), daemon=True)
        self.process.start()
        theirs.close()
        self._end.recv()

    def __call__(self) -> None:
        self._end.send("work")
        self._end.recv()

    def memory(self) -> int:
        """Bytes of the largest size so far above that before the work was made."""
        self._end.send("memory")
        return self._end.recv()


def _serve(end: Connection, maker: Callable[[], Work], threads: int) -> None:
    torch.set_num_threads(threads)
    before = largest()
    work = maker()
    end.send("ready")
    while True:
        if end.recv() == "memory":
            end.send(largest() - before)
            continue
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        end.send("done")


def largest() -> int:
    """The largest size of this process, or of what it holds on a GPU, so far."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def times_as_fast(base: list[float], other: list[float]) -> str:
    """ "1.23 (1.20-1.27)": the median of the rounds' ratios and their quartiles."""
    ratios = [a / b for a, b in zip(base, other, strict=True)]
    low, _, high = quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return f"{median(ratios):.2f} ({low:.2f}-{high:.2f})"


def peaks(device: torch.device) -> dict[str, float]:
    """The FLOP/s that one large operation reaches by itself, the best of several."""
    found = {}
    for kind, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = (torch.randn(2048, 2048, device=device, dtype=dtype) for _ in range(2))
        found[f"product, {kind}"] = _best(partial(torch.mm, a, b), 2.0 * 2048**3, device)
        layer = torch.nn.Conv2d(128, 128, 3, padding=1).to(device, dtype)
        x = torch.randn(64, 128, 32, 32, device=device, dtype=dtype)
        count = 2.0 * 64 * 32**2 * 128 * 128 * 9
        for order in (torch.contiguous_format, torch.channels_last):
            of, ordered = layer.to(memory_format=order), x.contiguous(memory_format=order)
            name = "channels last" if order is torch.channels_last else "plain"
            work = partial(of, ordered)
            found[f"convolution, {kind}, {name}"] = _best(work, count, device)
    return found


@torch.no_grad()
def _best(work: Work, count: float, device: torch.device) -> float:
    return count / min(seconds(work, device) for _ in range(10))


def half() -> Precision:
    """bf16 where this processor has it; float32 where it would only imitate it."""
    return "bf16" if suits("bf16", torch.device("cpu")) else "no"


def header(command: str, given: argparse.Namespace) -> str:
    """The first line of every table: how, when, on what."""
    folder = Path(__file__).parent
    asked = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    device = given.device if given.device == "cpu" else torch.cuda.get_device_name()
    return (
        f"`{command}`, {date.today()}, {given.rounds} rounds, {given.threads} threads, {device}, "
        f"torch {torch.__version__}, {platform.machine()}, commit {commit or 'unknown'}."
    )


def write(name: str, lines: list[str]) -> None:
    """Write a table below results/, and show it."""
    text = "\n".join(lines) + "\n"
    (RESULTS / name).write_text(text)
    print(text)

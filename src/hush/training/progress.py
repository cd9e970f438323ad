"""What a person sees while a model learns, and how they stop it."""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Line:
    """One line: the step, the loss, the learning rate, samples per second and the time left."""

    def __init__(self, steps: int, show: bool = True) -> None:
        self.console = Console(stderr=True, quiet=not show, soft_wrap=True)
        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[figures]}"),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.console,
            refresh_per_second=4,
            speed_estimate_period=60,
            disable=not show,
        )
        self._task = self._bar.add_task("train", total=steps, figures="")

    def __enter__(self) -> "Line":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def resume(self, step: int) -> None:
        """Steps that an earlier session did."""
        self._bar.update(self._task, completed=step)

    def advance(self) -> None:
        """One step more is done."""
        self._bar.advance(self._task)

    def figures(self, figures: dict[str, float], speed: float) -> None:
        """The figures of the newest report, and samples per second."""
        text = f"loss {figures.get('loss', math.nan):.4f}  rate {figures['learning_rate']:.1e}  "
        skipped = f"  skipped {figures['skipped']}" if "skipped" in figures else ""
        self._bar.update(self._task, figures=f"{text}{speed:,.0f}/s{skipped}")

    def tell(self, message: str) -> None:
        """A message above the line."""
        self.console.print(message, highlight=False, markup=False)


class Pace:
    """How fast samples are learnt from; it cares nothing for the time of day."""

    def __init__(self, seen: int) -> None:
        self._seen, self._clock = seen, time.perf_counter()

    def speed(self, seen: int) -> float:
        """Samples per second since the last time it was asked."""
        before, clock = self._seen, self._clock
        self._seen, self._clock = seen, time.perf_counter()
        return (self._seen - before) / max(self._clock - clock, 1e-9)


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets, so that the loop can finish its step, save and leave; a
    second Ctrl-C stops at once. Outside the main thread signals are left alone."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

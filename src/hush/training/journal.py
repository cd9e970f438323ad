"""What a run writes down as it goes: metrics.jsonl, records.jsonl and the curves of TensorBoard.

The lines are functions of the run alone, so that one that was stopped and begun again writes the
same; speed, which is not, goes to the curves.
"""

import json
import math
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from hush.training.files import flush, reading, write, writing


class Journal:
    """The lines and curves of a run. Only the main process keeps one that writes."""

    def __init__(self, run: Path, writes: bool = True) -> None:
        self.metrics, self.records = run / "metrics.jsonl", run / "records.jsonl"
        self._run, self._writes = run, writes
        self._curves: SummaryWriter | None = None

    def begin(self, step: int) -> None:
        """Go on from `step` finished steps: drop what an earlier process wrote of it and later, for
        it will be written again."""
        self.close()
        if self._writes:
            for path, last in ((self.metrics, step - 1), (self.records, step)):
                _forget_after(path, last)
            self._curves = SummaryWriter(self._run / "tensorboard", purge_step=step)

    def report(self, step: int, figures: dict[str, float | int], **fleeting: float) -> None:
        """One line of metrics; what is `fleeting` goes to the curves only."""
        if self._curves:
            _append(self.metrics, {"step": step, **figures})
            for name, value in {**figures, **fleeting}.items():
                self._curves.add_scalar(name, value, step)

    def learnt(self, step: int, records: list[int]) -> None:
        """Which records a step learns from."""
        if self._writes:
            _append(self.records, {"step": step, "records": records})

    def ended(self, step: int) -> bool:
        """Whether the examination at `step` is the last thing written."""
        lines = _lines(self.metrics)
        last = _parsed(lines[-1]) if lines else {}
        return last.get("step") == step and "held_out/mean" in last

    def flush(self) -> None:
        """Wait until the lines are on the disk itself."""
        for path in (self.metrics, self.records):
            if self._writes and path.exists():
                with writing(path):
                    flush(path)

    def close(self) -> None:
        """Finish the curves."""
        if self._curves:
            self._curves.close()
            self._curves = None


def _append(path: Path, line: dict[str, Any]) -> None:
    with writing(path), path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def _forget_after(path: Path, step: int) -> None:
    lines = _lines(path)
    kept = [line for line in lines if _parsed(line).get("step", math.inf) <= step]
    if kept != lines:
        write(path, lambda aside: aside.write_bytes(b"".join(kept)))


def _lines(path: Path) -> list[bytes]:
    with reading(path):
        return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def _parsed(line: bytes) -> dict[str, Any]:
    """A line; one that was cut off while written says nothing."""
    try:
        said = json.loads(line)
        return said if isinstance(said["step"], int) else {}
    except (ValueError, TypeError, LookupError, RecursionError):
        return {}

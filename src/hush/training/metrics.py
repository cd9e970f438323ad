"""metrics.jsonl: one line of JSON per report of a run."""

import json
import math
from pathlib import Path

from hush.training.checkpoint import write


def append(path: Path, step: int, figures: dict[str, float]) -> None:
    """Add the report of a step."""
    with path.open("a") as file:
        file.write(json.dumps({"step": step, **figures}) + "\n")


def forget_after(path: Path, step: int) -> None:
    """Drop the reports of steps that a stopped run made and its successor will make again."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    kept = "".join(line for line in lines if _step(line) <= step)
    write(path, lambda aside: aside.write_text(kept))


def _step(line: str) -> float:
    """The step of a report; one that was cut off while written counts as late."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return math.inf

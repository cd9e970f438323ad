"""A run's record as the command line that makes such a run."""

import inspect
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from hush.app.kinds import KINDS
from hush.systems.index import find
from hush.training.run import jsonable


def command(record: Mapping[str, Any], run: Path) -> str:
    """`hush train …` with the flags of all that is not the system's default; "" for a run that was
    not learnt by training, or has a part that another run has learnt."""
    from hush.systems.taken import Taken

    parameters = inspect.signature(find(record["name"])).parameters
    data = record.get("data", {})
    if not data or any(isinstance(one.default, Taken) for one in parameters.values()):
        return ""
    words = ["hush", "train", record["name"], "--data", data["name"], "--out", str(run)]
    decided = {key for kind in KINDS.values() for key in kind.own}
    settings = {**record["arguments"], "recipe": record.get("recipe", {})}
    for key, parameter in parameters.items():
        if key in settings and key not in decided:
            words += _flags(key, settings[key], parameter.default)
    for key, value in data.get("asked", {}).items():
        words += _flags(key, value, None)
    return shlex.join(words)


def _flags(key: str, value: Any, default: Any) -> Iterator[str]:
    """The words for what differs from the default, field by field of a dataclass."""
    usual = jsonable(default)
    if is_dataclass(default):
        for name, part in value.items():
            yield from _flags(name, part, usual.get(name))
        return
    if value == usual or value is None:
        return
    name = key.replace("_", "-")
    if isinstance(value, bool):
        yield f"--{name}" if value else f"--no-{name}"
        return
    yield f"--{name}"
    yield from map(str, value if isinstance(value, list | tuple) else [value])

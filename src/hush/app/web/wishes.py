"""What is wished of a run, as the options of a command, and the walk that grants it.

The options are those of the command line: so the page shows the line that makes the same again,
and a wish walked here is what that line writes, bit for bit.
"""

import shlex
from collections.abc import Generator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hush.app import generating, restoring, sampling
from hush.app.inputs import learnt
from hush.errors import UserError
from hush.samplers import State
from hush.system import System
from hush.tasks.restore import kept, pose

FLAGS = {"classes": "class"}  # flags that are not called as their fields
PLACED = ("run", "inputs", "file")  # what a command takes without a flag
MOST = 100  # samples of one wish


def line(verb: str, options: Any) -> list[str]:
    """The command line of a verb and its options, without the name of the program."""
    words = [verb]
    for field in fields(options):
        value = getattr(options, field.name)
        default = field.default if field.default is not MISSING else None
        if field.name in PLACED:
            words += map(str, value if isinstance(value, tuple) else (value,))
        elif value is True:
            words.append(_flag(field.name))
        elif value is not None and value is not False and value not in (default, ()):
            parts = value if isinstance(value, tuple) else (value,)
            words += [_flag(field.name), *map(str, parts)]
    return words


def told(words: list[str]) -> str:
    """A command line to be read, and pasted."""
    return shlex.join(["hush", *words])


def _flag(name: str) -> str:
    return "--" + FLAGS.get(name, name).replace("_", "-")


@dataclass(frozen=True)
class Walk:
    """A walk that is yet to be made: its states, what they look like, and what came of the last."""

    system: System
    count: int
    how: dict[str, Any]
    asked: Any = None

    def states(self) -> Generator[State]:
        """From noise to data."""
        return self.system.walk(self.count, **self.how)

    def seen(self, state: State) -> Tensor:
        """What a state looks like: at the end, what is answered."""
        if state.left:
            return sampling.seen(self.system, state)
        labels = self.system.request(self.count, self.how["cond"])[1]
        with torch.no_grad():
            drawn = self.system.codec.decode(state.x, labels)
        return (drawn if self.asked is None else kept(self.asked, drawn)).cpu()


def drawn(options: sampling.Options | generating.Options, system: System) -> Walk:
    """The walk of `hush sample` or `hush generate`."""
    if not 1 <= options.count <= MOST:
        raise UserError(f"The page draws 1 to {MOST} at once, got {options.count}.")
    how = (options.evaluations, options.sampler, options.grid, options.steps)
    system = sampling.settled(system, *how, options.run)
    cond = options.classes.split(",") if options.classes else None
    how = {"cond": cond, "seed": options.seed, "guidance": options.guidance}
    return Walk(system, options.count, how)


def answered(verb: str, options: restoring.Options, system: System) -> tuple[Tensor, Walk]:
    """What is given, and the walk of `hush inpaint`, `upscale` …"""
    if not 1 <= options.count <= MOST:
        raise UserError(f"The page makes 1 to {MOST} answers, got {options.count}.")
    system = restoring.settled(system, options)
    ((_, picture),) = restoring.given(verb, options, system)
    whole, asked = restoring.questioned(verb, options, system, picture, options.seed)
    own = {}
    if isinstance(options, restoring.Inpaint):
        own = {"kind": options.classes, "scale": options.guidance}
    posed, how = pose(system, asked, tile=options.tile, **own)
    return whole, Walk(posed, options.count, {**how, "seed": options.seed}, asked)


def saved(options: Any, system: System, data: Tensor, out: Path) -> None:
    """Write what was drawn as the command does: pictures into the folder `out`, windows of series
    into the file."""
    cond = options.classes.split(",") if options.classes else None
    if isinstance(options, sampling.Options):
        sampling.write([system], data, cond, out, range(len(data)))
        return
    from hush.data.drawn import write_windows

    labels = system.request(len(data), cond)[1]
    known = system.task.classes
    names = None if labels is None else [known[k] for k in labels.tolist()]
    channels = learnt(options.run) or tuple(f"channel {k + 1}" for k in range(system.task.shape[0]))
    write_windows(out, [(data, names)], channels)

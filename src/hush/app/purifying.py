"""`hush purify`: pictures without what an attacker added to them."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

SHOWN = 16  # pictures in beside.png
Whole = Annotated[int | None, tyro.conf.arg(metavar="INT")]


@dataclass(frozen=True)
class Options:
    """Every picture made pure: NAME.png, and beside.png, what was given over what became of it."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A folder written by `hush train`."""
    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUT")]
    """Pictures, or folders of them; brought to the size of those the run was trained on."""
    out: Path
    """Folder of the answers; made if it is not there."""
    by: Annotated[str, tyro.conf.arg(metavar="NAME")] = "diffpure"
    """diffpure, deterministic, guided (GDMP), adaptive (ADP); settings after a colon:
    diffpure:depth=0.2,steps=20."""
    seed: Whole = None
    """The same seed gives the same answers; by default a new one, which is printed."""
    threads: Whole = None
    """Processor threads; by default all cores."""


def purify(arguments: list[str]) -> None:
    """Purify pictures by a run."""
    import torch

    from hush.app.choices import choose
    from hush.app.inputs import begun, opened
    from hush.data import grid, save
    from hush.tasks.purify import PURIFIERS

    options = tyro.cli(Options, args=arguments, prog="hush purify")
    purifier = choose(PURIFIERS, "purifier", options.by)
    system = begun(options.run, options.threads)
    seed = random.getrandbits(31) if options.seed is None else options.seed
    pairs = []
    shape = system.task.shape
    pictures = opened(options.inputs, shape[0], tuple(shape[1:]))
    with torch.no_grad():
        for number, (name, given) in enumerate(pictures):
            answer = purifier(system, given, seed, start=number).cpu()
            save(answer[0], options.out / f"{name}.png")
            pairs.append(torch.cat((given, answer)))
    over = torch.stack(pairs[:SHOWN], 1).flatten(0, 1)
    save(grid(over, len(over) // 2), options.out / "beside.png")
    print(f"{len(pairs)} purified with seed {seed} in {options.out}; see beside.png there")

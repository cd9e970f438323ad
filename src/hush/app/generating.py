"""`hush generate`: windows of series that nobody measured, in a table."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from hush.errors import UserError

Whole = Annotated[int | None, tyro.conf.arg(metavar="INT")]
Real = Annotated[float | None, tyro.conf.arg(metavar="FLOAT")]
Word = Annotated[str | None, tyro.conf.arg(metavar="NAME")]
Classes = Annotated[str | None, tyro.conf.arg(name="class", metavar="NAME")]


@dataclass(frozen=True)
class Options:
    """Draw windows from a run of series: a row for each stamp, with "sample", the number of the
    window, "time", 0, 1, … in steps of the series it learnt, and a column for each channel in its
    own units. NAME.png shows the first windows."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A folder written by `hush train`, of ddpm, edm, … on a file of series."""
    out: Path
    """The file to write: CSV, or Parquet by its ending."""
    count: int = 64
    """How many windows."""
    evaluations: Whole = None
    """How often the network may be asked, fewer are faster, as of `hush sample`."""
    sampler: Word = None
    """Or by name: ddim, multistep, …, as of `hush sample`."""
    grid: Word = None
    """chain, uniform, …, as of `hush sample`."""
    steps: Whole = None
    """Steps of the walk."""
    seed: Whole = None
    """The same seed gives the same windows; by default a new one, which is printed."""
    classes: Classes = None
    """Of a model that knows the series apart: which to draw; several between commas; by default
    all in turn, and a column "class" says which."""
    guidance: Real = None
    """Scale of classifier-free guidance, likewise."""
    batch: int = 256
    """Windows that are drawn at once; changes speed and memory, not the windows."""
    last: bool = False
    """Draw from the last weights instead of their average."""
    threads: Whole = None
    """Processor threads; by default all cores."""


def generate(arguments: list[str]) -> None:
    """Draw windows from a run of series."""
    import torch

    from hush.app.inputs import begun, learnt
    from hush.app.sampling import settled
    from hush.app.telling import drawn_beside
    from hush.data.bands import bands
    from hush.tasks.windows import generate as written
    from hush.tasks.windows import must_draw

    options = tyro.cli(
        Options, args=arguments, prog="hush generate", config=(tyro.conf.FlagCreatePairsOff,)
    )
    for name in ("count", "batch"):
        if (number := getattr(options, name)) < 1:
            raise UserError(f"--{name} must be 1 or more, got {number}.")
    how = (options.evaluations, options.sampler, options.grid, options.steps)
    system = begun(options.run, options.threads, not options.last, series=True)
    system = settled(system, *how, options.run)
    must_draw(system)
    channels, seed = learnt(options.run), options.seed
    seed = random.getrandbits(31) if seed is None else seed
    asked = {"cond": options.classes.split(",") if options.classes else None, "seed": seed}
    asked["guidance"] = options.guidance
    written(system, options.count, options.out, channels, batch=options.batch, **asked)
    shown = system.sample(min(options.count, system.task.shows), **asked).cpu().unsqueeze(1)
    picture = bands(torch.full_like(shown[:, 0], torch.nan), shown, names=channels)
    drawn_beside(options.out, picture)
    print(f"{options.count:,} windows drawn with seed {seed} in {options.out}")

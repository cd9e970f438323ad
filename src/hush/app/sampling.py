"""`hush sample`: pictures, a grid of them, and the strip of noise becoming a picture."""

import random
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from hush.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from hush.system import System

Whole = Annotated[int | None, tyro.conf.arg(metavar="INT")]
Real = Annotated[float | None, tyro.conf.arg(metavar="FLOAT")]
Word = Annotated[str | None, tyro.conf.arg(metavar="NAME")]
Classes = Annotated[str | None, tyro.conf.arg(name="class", metavar="NAME")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")]

MOMENTS = 10  # columns of the trace
TRACED = 8  # its rows


@dataclass(frozen=True)
class Options:
    """Draw from a trained model: one PNG per sample, and grid.png of all of them."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A folder written by `hush train`."""
    count: int = 64
    """How many samples."""
    out: Folder = None
    """Where to; by default samples/seed-SEED inside the run."""
    evaluations: Whole = None
    """How often the network may be asked, fewer are faster: hush's own sampler and grid for it."""
    sampler: Word = None
    """Or by name: ddim, multistep, heun, dpm_solver++, unipc, … (a wrong name tells all);
    settings after a colon: multistep:order=2,basis=data."""
    grid: Word = None
    """chain, uniform, quadratic, log_snr, karras, focused, given; settings likewise."""
    steps: Whole = None
    """Steps of the walk."""
    seed: Whole = None
    """The same seed gives the same samples; by default a new one, which is printed."""
    classes: Classes = None
    """What to draw, by name or number; several between commas; by default all in turn."""
    guidance: Real = None
    """Scale of classifier-free guidance; 1 is none, more is clearer and less varied."""
    trace: bool = False
    """Also write trace.png: a few of the samples on their way out of the noise."""
    batch: int = 256
    """Samples drawn at once; changes speed and memory, not the samples."""
    last: bool = False
    """Draw from the last weights instead of their average."""
    threads: Whole = None
    """Processor threads; by default all cores."""


def sample(arguments: list[str]) -> None:
    """Draw samples from a run."""
    import torch

    from hush.systems.index import load

    options = tyro.cli(
        Options, args=arguments, prog="hush sample", config=(tyro.conf.FlagCreatePairsOff,)
    )
    if options.count < 1 or options.batch < 1:
        raise UserError(f"--count {options.count} --batch {options.batch}: both must be 1 or more.")
    if options.threads:
        torch.set_num_threads(options.threads)
    system = _settled(load(options.run, average=not options.last), options)
    seed = random.getrandbits(31) if options.seed is None else options.seed
    out = options.out or options.run / "samples" / f"seed-{seed}"
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} already holds files: choose another --out or --seed.")
    cond = options.classes.split(",") if options.classes else None
    pictures = system.sample(
        options.count, cond, seed=seed, guidance=options.guidance, batch=options.batch
    )
    _write(system, pictures.cpu(), cond, out)
    if options.trace:
        _trace(system, cond, seed, options, out)
    print(f"{options.count} samples with seed {seed} in {out}, all of them in {out / 'grid.png'}")


def _settled(system: "System", options: Options) -> "System":
    """The system with the sampler, grid and steps that were asked for."""
    from hush.app.choices import GRIDS, SAMPLERS, choose
    from hush.samplers import default
    from hush.samplers.grids import Given

    if options.evaluations is not None:
        if options.sampler or options.grid or options.steps is not None:
            raise UserError(
                "--evaluations chooses the sampler, the grid and its steps: leave out --sampler, "
                "--grid and --steps, or leave out --evaluations."
            )
        sampler, grid = default(options.evaluations)
        return replace(system, sampler=sampler, grid=grid)
    sampler = choose(SAMPLERS, "sampler", options.sampler) if options.sampler else system.sampler
    grid = system.grid
    if options.grid:
        grid = choose(GRIDS, "grid", options.grid)
        grid = grid if isinstance(grid, Given) else replace(grid, steps=system.grid.steps)
    elif sampler.order == 0:
        grid = replace(grid, steps=1)  # it follows a tolerance: steps would only hold it up
    if options.steps is not None:
        grid = replace(grid, steps=options.steps)
    return replace(system, sampler=sampler, grid=grid)


def _write(system: "System", pictures: "Tensor", cond: list[str] | None, out: Path) -> None:
    from hush.data import grid, save

    levels = int(system.codec.levels) or None
    _, labels = system.task.request(len(pictures), cond)
    for number, picture in enumerate(pictures):
        name = f"{number:05d}"
        if labels is not None:
            label = system.task.classes[int(labels[number])]
            name += "-" + re.sub(r"[^\w.-]", "_", label)
        save(picture, out / f"{name}.png", levels)
    columns = 10 if labels is not None and len(system.task.classes) == 10 else None
    save(grid(pictures, columns), out / "grid.png")


def _trace(
    system: "System", cond: list[str] | None, seed: int, options: Options, out: Path
) -> None:
    """Some samples at evenly spaced steps of their walk, noise on the left, one row each."""
    from hush.data import save, strip

    states = system.walk(min(TRACED, options.count), cond, seed=seed, guidance=options.guidance)
    kept = [round(i * system.grid.steps / (MOMENTS - 1)) for i in range(MOMENTS)]
    frames = {}
    for step, state in enumerate(states):
        if step in kept:
            x = state.x
            if x.is_floating_point():  # scaled to the variance of data, so that noise stays visible
                x = x * (state.t.alpha**2 + state.t.sigma**2) ** -0.5
            frames[step] = system.codec.decode(x).cpu()
    save(strip([frames[step] for step in kept]), out / "trace.png")

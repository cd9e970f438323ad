"""`hush sample`: pictures, a grid of them, and the strip of noise becoming a picture."""

import random
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from hush.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from hush.system import System
    from hush.world import World

Whole = Annotated[int | None, tyro.conf.arg(metavar="INT")]
Real = Annotated[float | None, tyro.conf.arg(metavar="FLOAT")]
Word = Annotated[str | None, tyro.conf.arg(metavar="NAME")]
Classes = Annotated[str | None, tyro.conf.arg(name="class", metavar="NAME")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")]

AT_ONCE = 256
MOMENTS = 10  # columns of the trace
TRACED = 8  # its rows


@dataclass(frozen=True)
class Options:
    """Draw from a trained model: one PNG per sample, and grid.png of all of them. Under torchrun
    every process draws a share."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A folder written by `hush train`."""
    count: int = 64
    """How many samples."""
    out: Folder = None
    """Where to; by default samples/seed-SEED inside the run."""
    evaluations: Whole = None
    """How often the network may be asked, fewer are faster: by the plan that `hush plan` has made
    for so many, else hush's own sampler and grid for it. Without this and the next three: by the
    newest plan, where there is one, else as the system's paper walks."""
    sampler: Word = None
    """Or by name: ddim, multistep, heun, dpm_solver++, unipc, … (a wrong name tells all);
    settings after a colon: multistep:order=2,basis=data."""
    grid: Word = None
    """chain, uniform, quadratic, log_snr, karras, focused, given; settings likewise."""
    steps: Whole = None
    """Steps of the walk."""
    seed: Whole = None
    """The same seed gives the same samples; by default a new one, which is printed."""
    then: tuple[Path, ...] = ()
    """Runs of `cascade` or `sr3` that what was drawn is enlarged by, one after the other; the
    sampler, grid and steps that are asked for are theirs too."""
    level: float = 0.0
    """How much noise hides from each of them what was drawn wrong before, 0 to 0.5."""
    classes: Classes = None
    """What to draw, by name or number; several between commas; by default all in turn."""
    guidance: Real = None
    """Scale of classifier-free guidance; 1 is none, more is clearer and less varied."""
    trace: bool = False
    """Also write trace.png: a few of the samples on their way out of the noise."""
    batch: Whole = None
    """Samples a process draws at once, by default its share, at most 256; changes speed and memory,
    not the samples."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Of the network; half precision is faster where the machine has it, "no" is float32."""
    last: bool = False
    """Draw from the last weights instead of their average."""
    threads: Whole = None
    """Processor threads; by default all cores."""


def sample(arguments: list[str]) -> None:
    """Draw samples from a run."""
    import torch

    from hush.world import joined

    options = tyro.cli(
        Options, args=arguments, prog="hush sample", config=(tyro.conf.FlagCreatePairsOff,)
    )
    for name in ("count", "batch"):
        if (number := getattr(options, name)) is not None and number < 1:
            raise UserError(f"--{name} must be 1 or more, got {number}.")
    if options.threads:
        torch.set_num_threads(options.threads)
    with joined() as world:
        _sample(options, world)


def _sample(options: Options, world: "World") -> None:
    from hush.data import grid, save
    from hush.systems.index import load

    if options.trace and options.then:
        raise UserError("--trace shows one walk, and --then adds others: leave out one of them.")
    if options.level and not options.then:
        raise UserError("--level is of the stages that --then names: name one, or leave it out.")
    chain = []
    for run in (options.run, *options.then):
        how = (options.evaluations, options.sampler, options.grid, options.steps)
        chain.append(settled(load(run, average=not options.last), *how, run))
        chain[-1].denoiser.to(world.device)
        chain[-1].codec.to(world.device)
    system = chain[0]
    if len(system.task.shape) == 2 and not system.task.asks:
        raise UserError(
            f"{options.run} has learnt series, and is drawn from by `hush generate {options.run} "
            "--out windows.csv`."
        )
    seed, out = world.first(lambda: _place(options))
    cond = options.classes.split(",") if options.classes else None
    mine, pictures = _drawn(chain, cond, seed, options, world)
    _write(chain, pictures, cond, out, mine)
    world.wait()
    if not world.main:
        return
    columns = 10 if len(system.task.classes) == 10 else None
    save(grid(pictures, columns), out / "grid.png")
    if options.trace:
        _trace(system, cond, seed, options, out)
    print(f"{options.count} samples with seed {seed} in {out}, all of them in {out / 'grid.png'}")


def _place(options: Options) -> tuple[int, Path]:
    """The seed, and the folder that the samples go to."""
    seed = random.getrandbits(31) if options.seed is None else options.seed
    out = options.out or options.run / "samples" / f"seed-{seed}"
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} already holds files: choose another --out or --seed.")
    return seed, out


def _drawn(
    chain: "list[System]", cond: list[str] | None, seed: int, options: Options, world: "World"
) -> tuple[range, "Tensor"]:
    """Which samples this process has drawn, and the samples of all. Each draws whole batches: with
    the same --batch one process alone draws the same to the last bit, else to rounding."""
    import torch

    from hush.tasks.cascaded import cascaded

    batch = options.batch or min(AT_ONCE, -(-options.count // world.size))
    batches = world.share(-(-options.count // batch))
    mine = range(batches.start * batch, min(options.count, batches.stop * batch))
    pictures = torch.zeros(options.count, *chain[-1].task.shape)
    if mine:
        pictures[mine.start : mine.stop] = cascaded(
            chain,
            len(mine),
            seed,
            options.level,
            cond,
            options.guidance,
            mine.start,
            batch=batch,
            precision=options.precision,
        )
    return mine, world.summed(pictures)  # what another has drawn is 0


def settled(
    system: "System",
    evaluations: int | None,
    sampler: str | None,
    grid: str | None,
    steps: int | None,
    run: Path,
) -> "System":
    """The system of a run with the sampler, grid and steps that were asked for, or planned."""
    from hush.app.choices import GRIDS, SAMPLERS, choose
    from hush.app.planning import kept
    from hush.samplers import default
    from hush.samplers.grids import Given

    asked = (sampler, grid, steps) != (None, None, None)
    if evaluations is not None and asked:
        raise UserError(
            "--evaluations chooses the sampler, the grid and its steps: leave out --sampler, "
            "--grid and --steps, or leave out --evaluations."
        )
    plan = None if asked else kept(run, evaluations)
    if plan or evaluations is not None:
        by, times = plan.walker() if plan else default(evaluations)
        return replace(system, sampler=by, grid=times)
    by = choose(SAMPLERS, "sampler", sampler) if sampler else system.sampler
    times = system.grid
    if grid:
        times = choose(GRIDS, "grid", grid)
        times = times if isinstance(times, Given) else replace(times, steps=system.grid.steps)
    elif by.order == 0:
        times = replace(times, steps=1)  # it follows a tolerance: steps would only hold it up
    if steps is not None:
        times = replace(times, steps=steps)
    return replace(system, sampler=by, grid=times)


def _write(
    chain: "list[System]", pictures: "Tensor", cond: list[str] | None, out: Path, mine: range
) -> None:
    """Each of `mine` as a file of its own, named by its number and class."""
    from hush.data import save

    levels, task = int(chain[-1].codec.levels) or None, chain[0].task
    _, labels = task.request(len(pictures), cond)
    for number in mine:
        name = f"{number:05d}"
        if labels is not None:
            label = task.classes[int(labels[number])]
            name += "-" + re.sub(r"[^\w.-]", "_", label)
        save(pictures[number], out / f"{name}.png", levels)


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

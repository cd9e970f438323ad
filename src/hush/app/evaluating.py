"""`hush evaluate`: how probable data are to a run, beside what they are to be read against."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from hush.app.training import given
from hush.data import PictureOptions
from hush.errors import UserError

if TYPE_CHECKING:
    from hush.data import Source
    from hush.evaluation import Estimate
    from hush.system import System
    from hush.world import World

CONFIG = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)
Whole = Annotated[int | None, tyro.conf.arg(metavar="INT")]
Real = Annotated[float | None, tyro.conf.arg(metavar="FLOAT")]

BANDS = 8  # rows of the profile


@dataclass(frozen=True)
class Options:
    """Bits per dimension of data under a run: what storing them with it would cost, or a bound.
    Under torchrun every process measures a share."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A folder written by `hush train`."""
    data: str
    """A folder, file, data set name, or digits. If the run was trained on it, the part that was
    held out is used."""
    method: Literal["auto", "bound", "continuous", "flow"] = "auto"
    """bound: the chain; continuous: a chain of infinitely many steps; flow: the
    probability-flow ODE; auto: the chain where there is one."""
    steps: Whole = None
    """bound: steps of the chain that are walked; by default all."""
    draws: int = 16
    """continuous: noised states per picture."""
    start: Real = None
    """continuous, flow: the noise level σ/α to begin at."""
    count: Whole = None
    """How many pictures, by default all."""
    seed: int = 0
    """Of the noise."""
    no_class: bool = False
    """Do not tell the model the classes."""
    last: bool = False
    """Take the last weights instead of their average."""
    threads: Whole = None
    """Processor threads; by default all cores."""
    pictures: PictureOptions = field(default_factory=PictureOptions)


def evaluate(arguments: list[str]) -> None:
    """Measure the likelihood of data under a run and print it as a table."""
    import torch

    from hush.world import joined

    options = tyro.cli(Options, args=arguments, prog="hush evaluate", config=CONFIG)
    if options.threads:
        torch.set_num_threads(options.threads)
    with joined() as world:
        _evaluate(options, world)


def _evaluate(options: Options, world: "World") -> None:
    from hush.data import open_source
    from hush.evaluation import likelihood
    from hush.systems.index import load

    system = load(options.run, average=not options.last)
    system.denoiser.to(world.device)
    system.codec.to(world.device)
    source = open_source(options.data, **given(options.pictures))
    if tuple(source.shape) != tuple(system.task.shape):
        raise UserError(
            f"{options.data} has pictures of shape {tuple(source.shape)}, the run is of "
            f"{tuple(system.task.shape)}: give it data of the same kind."
        )
    seen, unseen = _parts(options, source)
    method = _method(options, system)
    found = likelihood(
        system,
        unseen,
        method,
        steps=options.steps,
        start=options.start,
        draws=options.draws,
        given_class=not options.no_class,
        seed=options.seed,
        world=world,
    )
    if world.main:
        _print(options, system, method, found, seen, unseen)


def _parts(options: Options, source: "Source") -> tuple["Source | None", "Source"]:
    """(what the run has learnt from, what is measured): the held-out part of its own data."""
    from hush.data import Subset, split
    from hush.training.run import Run

    record = Run(options.run).record
    seen, unseen = None, source
    own = record.get("data", {}).get("name") == source.name
    if own and record.get("recipe", {}).get("held_out"):
        seen, unseen = split(source, record["recipe"]["held_out"], seed=record["recipe"]["seed"])
    if options.count is not None:
        if not 1 <= options.count <= len(unseen):
            raise UserError(
                f"--count {options.count}: there are {len(unseen)} pictures to measure, take 1 to "
                "as many."
            )
        unseen = Subset(unseen, range(options.count))
    return seen, unseen


def _print(
    options: Options,
    system: "System",
    method: str,
    found: "Estimate",
    seen: "Source | None",
    unseen: "Source",
) -> None:
    from rich.console import Console
    from rich.table import Table

    from hush.evaluation import histogram

    table = Table()
    table.add_column("what", no_wrap=True)
    table.add_column("bits per dimension", justify="right", no_wrap=True)
    table.add_column("how to read it")
    part = "held-out pictures" if seen is not None else "pictures"
    told = "told their class" if system.task.classes and not options.no_class else ""
    says = {
        "bound": "an upper bound by the chain that is walked",
        "continuous": "an upper bound by a chain of infinitely many steps",
        "flow": "by the probability-flow ODE, levels made continuous: an upper bound",
    }[method]
    about = ", ".join(filter(None, (f"{found.count:,} {part}", told, says)))
    table.add_row(system.name, str(found), about)
    for row in _profile(found):
        table.add_row(*row)
    if seen is not None and unseen.levels:
        images = [part.read(range(len(part)))["image"] for part in (seen, unseen)]
        baseline = histogram(*images, unseen.levels)
        table.add_row("histogram", str(baseline), "every pixel by itself: beat it")
    Console().print(table)


def _method(options: Options, system: "System") -> str:
    from hush.processes import GaussianProcess
    from hush.schedules import Tabulated

    if options.method != "auto":
        return options.method
    process = system.denoiser.process
    chain = isinstance(process.schedule, Tabulated) or not isinstance(process, GaussianProcess)
    return "bound" if chain else "continuous"


def _profile(found: "Estimate") -> list[tuple[str, str, str]]:
    """Where the bits go, in bands of time."""
    if not found.profile:
        return []
    rows = [("  at the end of the noise", f"{found.prior:.4f}", "what it still shows")]
    for band in range(BANDS, 0, -1):
        low, high = (band - 1) / BANDS, band / BANDS
        spent = sum(bits for time, bits in found.profile if low < time <= high)
        rows.append((f"  t from {high:g} to {low:g}", f"{spent:.4f}", ""))
    rows.append(("  at the data", f"{found.data:.4f}", "from the last state to the levels"))
    return rows

"""`hush evaluate`: how good a run is, beside what it is to be read against."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from hush.app.kinds import given
from hush.data import PictureOptions
from hush.errors import UserError

if TYPE_CHECKING:
    from hush.data import Source
    from hush.world import World

CONFIG = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)
Whole = Annotated[int | None, tyro.conf.arg(metavar="INT")]
Real = Annotated[float | None, tyro.conf.arg(metavar="FLOAT")]
Word = Annotated[str | None, tyro.conf.arg(metavar="NAME")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")]


@dataclass(frozen=True)
class Options:
    """Of a run that draws: bits per dimension of data, what storing them with it would cost, or a
    bound; under torchrun every process measures a share. Of a run that makes pictures from others:
    its answers to whole pictures that it spoils itself, beside a classical method's and those of a
    regression network. With --anomalous and --masks: how well its `hush detect` finds what does
    not belong, beside an autoencoder and a blur. Of a run of series: `hush evaluate RUN --help`
    lists what may be asked."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A folder written by `hush train`."""
    data: str
    """A folder, file, data set name, or digits. If the run was trained on it, the part that was
    held out is used."""
    method: Literal["auto", "answers", "bound", "continuous", "flow"] = "auto"
    """answers: of a run that makes pictures from others; bound: the chain; continuous: a chain of
    infinitely many steps; flow: the probability-flow ODE; auto: answers where there are any, else
    the chain where there is one."""
    steps: Whole = None
    """bound: steps of the chain that are walked; by default all. answers, anomalies: steps of the
    walk."""
    sampler: Word = None
    """answers: ddim, multistep, …, as of `hush sample`."""
    regression: int = 600
    """answers: steps that a regression network of the run's size learns; it takes minutes, and 0
    leaves it out."""
    anomalous: Folder = None
    """Pictures with something that does not belong; --data are sound ones."""
    masks: Folder = None
    """Pictures of the same names as the anomalous, white where that is."""
    depth: float = 0.25
    """anomalies: the time that pictures are noised to, as of `hush detect`."""
    repeats: int = 4
    """anomalies: how often each picture is walked."""
    draws: int = 16
    """continuous: noised states per picture."""
    start: Real = None
    """continuous, flow: the noise level σ/α to begin at."""
    count: Whole = None
    """How many pictures, by default all."""
    seed: int = 0
    """Of everything random."""
    no_class: bool = False
    """Do not tell the model the classes."""
    last: bool = False
    """Take the last weights instead of their average."""
    threads: Whole = None
    """Processor threads; by default all cores."""
    pictures: PictureOptions = field(default_factory=PictureOptions)


def evaluate(arguments: list[str]) -> None:
    """Measure how good a run is and print it as a table."""
    if _of_series(arguments):
        from hush.app.series import evaluate as judged

        judged(arguments)
        return
    import torch

    from hush.world import joined

    options = tyro.cli(Options, args=arguments, prog="hush evaluate", config=CONFIG)
    if options.threads:
        torch.set_num_threads(options.threads)
    with joined() as world:
        _evaluate(options, world)


def _of_series(arguments: list[str]) -> bool:
    """Whether the run that is named is of series, which have options of their own."""
    from hush.training.run import Run

    for word in arguments:
        if (Path(word) / "system.json").is_file():
            shape = Run(word).record["arguments"].get("shape")
            return isinstance(shape, list) and len(shape) == 2
    return False


def _evaluate(options: Options, world: "World") -> None:
    from hush.data import open_source
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
    if options.anomalous or options.masks:
        from hush.app.judging import anomalies as measure
    elif options.method == "answers" or (options.method == "auto" and system.task.asks):
        from hush.app.judging import answers as measure
    else:
        from hush.app.probable import probable as measure
    measure(options, system, *_parts(options, source), world)


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

"""`hush evaluate`: how good a run is, beside what it is to be read against."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from hush.app.inputs import of_series
from hush.app.kinds import given
from hush.data import PictureOptions
from hush.errors import UserError

if TYPE_CHECKING:
    from hush.data import Source
    from hush.evaluation import Asked, FeatureSpace
    from hush.system import System
    from hush.world import World

CONFIG = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)
Whole = Annotated[int | None, tyro.conf.arg(metavar="INT")]
Real = Annotated[float | None, tyro.conf.arg(metavar="FLOAT")]
Word = Annotated[str | None, tyro.conf.arg(metavar="NAME")]
Data = Annotated[str | None, tyro.conf.arg(metavar="DATA")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")]
File = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]


@dataclass(frozen=True)
class Options:
    """Of a run that draws: what data it has not seen cost it in bits, beside those it has; how far
    its samples are from data, how varied, and whether they are copies; whether it believes what is
    so; a table, and a page with pictures. Under torchrun every process measures a share of the
    bits. Of a run that makes pictures from others: its answers to whole pictures that it spoils
    itself, beside a classical method's and those of a regression network. With --anomalous and
    --masks: how well its `hush detect` finds what does not belong, beside an autoencoder and a
    blur. Of a run that tells series: `hush evaluate RUN --help` lists what may be asked."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A folder written by `hush train`."""
    data: Data = None
    """A folder, file, data set name, or digits; by default the run's own data. Of those, the part
    that was held out is used."""
    report: File = None
    """The page to write; by default report.html in the run."""
    samples: int = 512
    """How many are drawn and judged; 0 draws none."""
    evaluations: int = 20
    """How often the network is asked for each of them."""
    features: Literal["auto", "classifier", "components", "patches", "raw", "inception"] = "auto"
    """What distances are measured in: a classifier taught on the spot, principal components, a
    network that knows how pictures are spoilt, the values themselves, or Inception; auto: a
    classifier where there are classes, else components."""
    weights: File = None
    """inception: its weights, pt_inception-2015-12-05-6726825d.pth."""
    method: Literal["auto", "answers", "bound", "continuous", "flow"] = "auto"
    """answers: of a run that makes pictures from others; bound: the chain; continuous: a chain of
    infinitely many steps; flow: the probability-flow ODE; auto: answers where there are any, else
    continuous, or with --steps, and of tokens, bound."""
    steps: Whole = None
    """bound: steps of the chain that are walked. answers, anomalies: steps of the walk."""
    sampler: Word = None
    """ddim, multistep, …, as of `hush sample`."""
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
    draws: int = 8
    """continuous: noised states per picture."""
    start: Real = None
    """continuous, flow: the noise level σ/α to begin at."""
    count: Whole = None
    """How many held-out records, by default all; bits are measured of 256 at most, or of as many
    as are asked for."""
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
    """Measure how good a run is, print it as a table, and write it as a page."""
    if of_series(arguments) and not _draws(arguments):
        from hush.app.series import evaluate as judged

        judged(arguments)
        return
    import torch

    from hush.world import joined

    options = tyro.cli(Options, args=arguments, prog="hush evaluate", config=CONFIG)
    for name in ("samples", "evaluations"):
        if (number := getattr(options, name)) < (name == "evaluations"):
            raise UserError(f"--{name} must be a number of them, got {number}.")
    if options.threads:
        torch.set_num_threads(options.threads)
    with joined() as world:
        _evaluate(options, world, arguments)


def _draws(arguments: Sequence[str]) -> bool:
    """Whether the run that is named draws from nothing."""
    from hush.systems.index import TABLE
    from hush.training.run import Run

    run = next(word for word in arguments if (Path(word) / "system.json").is_file())
    row = TABLE.get(Run(run).record["name"])
    return row is not None and row.task == "generate"


def _evaluate(options: Options, world: "World", arguments: Sequence[str]) -> None:
    from hush.app.examining import about, parts, source
    from hush.app.judging import said
    from hush.systems.index import load

    system = load(options.run, average=not options.last)
    system.denoiser.to(world.device)
    system.codec.to(world.device)
    data = source(options.run, system, options.data, **given(options.pictures))
    draws = not system.task.asks and not (options.anomalous or options.masks)
    seen, unseen = parts(options.run, system, data, beside=draws)
    unseen = _few(unseen, options.count)
    if options.anomalous or options.masks:
        from hush.app.judging import anomalies as measure
    elif options.method == "answers" or (options.method == "auto" and system.task.asks):
        from hush.app.judging import answers as measure
    elif system.task.asks:
        from hush.app.judging import bits as measure
    else:
        _examine(options, system, data, (seen, unseen), world, arguments)
        return
    told = about(options.run, system, data, options.seed, said(arguments))
    measure(options, system, seen, unseen, world, told)


def _few(unseen: "Source", count: int | None) -> "Source":
    """As many records as were asked for, evenly from all."""
    from hush.evaluation.bits import evenly

    if count is not None and not 1 <= count <= len(unseen):
        raise UserError(
            f"--count {count}: there are {len(unseen)} records to measure, take 1 to as many."
        )
    return unseen if count is None else evenly(unseen, count)


def _examine(
    options: Options,
    system: "System",
    data: "Source",
    parts: tuple["Source | None", "Source"],
    world: "World",
    arguments: Sequence[str],
) -> None:
    """Examine a run that draws."""
    from hush.app.examining import about
    from hush.app.judging import PAGE, said
    from hush.app.sampling import settled
    from hush.evaluation.examine import examine, quick
    from hush.evaluation.report import print_report

    if options.sampler:
        system = settled(system, None, options.sampler, None, options.evaluations, options.run)
    else:
        system = quick(system, options.evaluations)
    asked = _asked(options)
    told = about(options.run, system, data, options.seed, said(arguments))

    def tell(what: str) -> None:
        if world.main:
            print(f"Measuring: {what} …", file=sys.stderr)

    report = examine(system, *parts, asked, told, tell, world)
    if not world.main:
        return
    print_report(report)
    for what in report.missing:
        print(what)
    print(f"With pictures: {report.save(options.report or options.run / PAGE)}")


def _asked(options: Options) -> "Asked":
    from hush.evaluation.bits import RECORDS
    from hush.evaluation.examine import Asked

    kept = ("samples", "steps", "start", "draws", "seed")
    return Asked(
        **{name: getattr(options, name) for name in kept},
        method=None if options.method == "auto" else options.method,
        records=options.count or RECORDS,
        features=_features(options),
        given_class=not options.no_class,
    )


def _features(options: Options) -> "str | FeatureSpace":
    if options.features != "inception":
        return options.features
    from hush.evaluation.inception import inception

    return inception(options.weights)

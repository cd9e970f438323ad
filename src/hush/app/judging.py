"""What `hush evaluate` says of the uses of a run: its answers, and the anomalies it finds, beside
what needs no diffusion."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hush.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from hush.app.evaluating import Options
    from hush.data import Source
    from hush.evaluation import About, Comparison, Shown, Table
    from hush.system import System
    from hush.tasks.judged import Answered
    from hush.world import World

LEARNT = 4096  # pictures that the others learn from, at most
PAGE = "report.html"
ROWS = 8  # of a picture on the page


def answers(
    options: "Options",
    system: "System",
    seen: "Source | None",
    unseen: "Source",
    world: "World",
    about: "About",
) -> None:
    """Judge the answers of a run that makes pictures from others, a table for each of its tasks."""
    from hush.evaluation import Comparison, Table
    from hush.tasks.judged import COLUMNS, Yard, answered, parts

    tasks = parts(system)
    if not world.main:
        return
    train, test = (part.to(world.device) for part in _pictures(seen, unseen, options.seed))
    yard, how = Yard.of(train, test, options.seed), _motion(options, system)
    tables = []
    for task in tasks:
        told = answered(system, task, train, test, options.regression, options.seed, **how)
        rows = tuple(row.cells()[1:] for row in yard.rows(told))
        tables.append(printed(Table(told.name, COLUMNS[1:], rows, _answers(told))))
    reading = (
        f"{len(test):,} pictures that the run {'has not' if seen else 'may have'} learnt from; "
        f"the regression learns {options.regression:,} steps of {len(train):,} that "
        f"{'it has' if seen else 'are left'}.\nFloors: the Fréchet distance to the truth in "
        "features, over that of as many of these; 0 is the truth.\nConsistency: the mean squared "
        "distance from the low resolution that was given, in 1e-5.\nDiffer: two answers, root mean "
        "square. ± is one standard error."
    )
    shown(Comparison(about, tuple(tables), reading), options.report or options.run / PAGE)


def bits(
    options: "Options",
    system: "System",
    seen: "Source | None",
    unseen: "Source",
    world: "World",
    about: "About",
) -> None:
    """Measure the likelihood of answers under a run that makes pictures from others."""
    from hush.evaluation.bits import measured
    from hush.evaluation.report import print_report

    how = {name: getattr(options, name) for name in ("method", "steps", "start", "draws", "seed")}
    how |= {"given_class": not options.no_class, "count": options.count or len(unseen)}
    found = measured(system, seen, unseen, world=world, **how)
    if world.main:
        print_report(found)


def anomalies(
    options: "Options",
    system: "System",
    seen: "Source | None",
    unseen: "Source",
    world: "World",
    about: "About",
) -> None:
    """Judge how well a run of sound pictures finds what does not belong in others."""
    import torch

    from hush.app.inputs import opened
    from hush.app.segmenting import partners
    from hush.evaluation import Comparison, Table
    from hush.tasks.detect import Detect
    from hush.tasks.judged import anomaly_maps, found

    if options.anomalous is None or options.masks is None:
        raise UserError(
            "Anomalies are judged by --anomalous FOLDER and --masks FOLDER, white where something "
            "does not belong: give both."
        )
    if not world.main:
        return
    channels, *size = system.task.shape
    odd = dict(opened((options.anomalous,), channels, tuple(size)))
    truth = torch.cat(list(partners(odd, options.masks, 1, tuple(size)).values())) > 0.5
    sound = _read(seen or unseen)
    detect = Detect(options.depth, options.steps or 50, options.repeats)
    maps = anomaly_maps(system, sound, torch.cat(list(odd.values())), detect, options.seed)
    columns = ("who", "AUROC of pixels (95 %)", "Dice (95 %)")
    rows = tuple(row.cells() for row in found(maps, truth))
    picture = _maps(torch.cat(list(odd.values())), maps, truth)
    table = printed(Table("anomalies", columns, rows, picture))
    reading = (
        f"{len(truth):,} pictures with their masks; the autoencoder learnt {len(sound):,} sound "
        "ones. Dice is at the threshold that is best for the other half of the pictures."
    )
    shown(Comparison(about, (table,), reading), options.report or options.run / PAGE)


def _pictures(seen: "Source | None", unseen: "Source", seed: int) -> tuple["Tensor", "Tensor"]:
    """(train, test): what the others learn from, and what all are asked about. Where nobody knows
    what the run has seen of the data, a half of them each."""
    from hush.data import split

    if seen is None:
        seen, unseen = split(unseen, 0.5, seed=seed)
    return _read(seen), _read(unseen)


def _read(source: "Source") -> "Tensor":
    """At most 4096 pictures, evenly from all."""
    count = min(len(source), LEARNT)
    return source.read([place * len(source) // count for place in range(count)])["image"]


def _motion(options: "Options", system: "System") -> dict[str, Any]:
    from hush.app.choices import SAMPLERS, choose

    sampler = choose(SAMPLERS, "sampler", options.sampler) if options.sampler else None
    grid = system.grid if options.steps is None else replace(system.grid, steps=options.steps)
    return {"sampler": sampler, "grid": grid}


def _answers(told: "Answered") -> "Shown":
    """Some of the questions, and all answers to them."""
    from hush.data import strip
    from hush.evaluation import Shown

    drawn = told.answers
    columns = [told.asked.given, *(one for each in drawn.values() for one in each)]
    columns.append(told.asked.truth)
    step = max(1, len(told.asked.truth) // ROWS)
    picture = strip([column[::step][:ROWS].cpu().clamp(0.0, 1.0) for column in columns])
    names = (f"{who} (twice)" if len(each) == 2 else who for who, each in drawn.items())
    return Shown(picture, f"In each row: {'; '.join(('what was given', *names, 'the truth'))}.")


def _maps(pictures: "Tensor", maps: "dict[str, Tensor]", truth: "Tensor") -> "Shown":
    """Some of the pictures, how odd each pixel is to each, and what does not belong; a map is white
    where only one in a hundred of its pixels is odder."""
    from hush.data import strip
    from hush.evaluation import Shown

    some = [values[:ROWS].flatten() for values in maps.values()]
    tops = [values.kthvalue(math.ceil(0.99 * len(values)))[0] for values in some]
    scaled = [one / top.clamp(min=1e-12) for one, top in zip(maps.values(), tops, strict=True)]
    columns = [part.to(pictures).expand_as(pictures) for part in (pictures, *scaled, truth)]
    picture = strip([column[:ROWS].clamp(0.0, 1.0) for column in columns])
    return Shown(picture, f"In each row: the picture, {', '.join(maps)}, the truth.")


def said(arguments: Sequence[str]) -> str:
    """The command that was given."""
    return shlex.join(["hush", "evaluate", *arguments])


def shown(comparison: "Comparison", page: Path) -> None:
    """How to read the tables that were printed, and all of it as a page."""
    print(comparison.reading)
    print(f"As a page: {comparison.save(page)}")


def printed(table: "Table") -> "Table":
    """A table, printed as soon as it is there, for the next may take minutes; without the columns
    in which nothing stands."""
    from rich.console import Console
    from rich.table import Table as Printed

    table = table.filled()
    out = Printed(title=table.title, box=None, padding=(0, 2, 0, 0), pad_edge=False)  # 80 do
    for place, name in enumerate(table.columns):
        out.add_column(name, justify="right" if place else "left", no_wrap=True)
    for row in table.rows:
        out.add_row(*row)
    Console().print(out)
    return table

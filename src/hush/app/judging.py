"""What `hush evaluate` says of the uses of a run: its answers, and the anomalies it finds, beside
what needs no diffusion."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hush.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from hush.app.evaluating import Options
    from hush.data import Source
    from hush.system import System
    from hush.world import World

LEARNT = 4096  # pictures that the others learn from, at most


def answers(
    options: "Options",
    system: "System",
    seen: "Source | None",
    unseen: "Source",
    world: "World",
) -> None:
    """Judge the answers of a run that makes pictures from others, a table for each of its tasks."""
    from hush.tasks.judged import COLUMNS, Yard, answered, parts

    tasks = parts(system)
    if not world.main:
        return
    train, test = (part.to(world.device) for part in _pictures(seen, unseen, options.seed))
    yard, how = Yard.of(train, test, options.seed), _motion(options, system)
    for task in tasks:
        told = answered(system, task, train, test, options.regression, options.seed, **how)
        printed(told.name, COLUMNS[1:], [row.cells()[1:] for row in yard.rows(told)])
    print(
        f"{len(test):,} pictures that the run {'has not' if seen else 'may have'} learnt from; "
        f"the regression learns {options.regression:,} steps of {len(train):,} that "
        f"{'it has' if seen else 'are left'}.\nFloors: the Fréchet distance to the truth in "
        "features, over that of as many of these; 0 is the truth.\nConsistency: the mean squared "
        "distance from the low resolution that was given, in 1e-5.\nDiffer: two answers, root mean "
        "square. ± is one standard error."
    )


def bits(
    options: "Options",
    system: "System",
    seen: "Source | None",
    unseen: "Source",
    world: "World",
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
) -> None:
    """Judge how well a run of sound pictures finds what does not belong in others."""
    import torch

    from hush.app.inputs import opened
    from hush.app.segmenting import partners
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
    printed("anomalies", columns, [row.cells() for row in found(maps, truth)])
    print(
        f"{len(truth):,} pictures with their masks; the autoencoder learnt {len(sound):,} sound "
        "ones. Dice is at the threshold that is best for the other half of the pictures."
    )


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


def printed(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Printed without the columns in which nothing stands."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, box=None, padding=(0, 2, 0, 0), pad_edge=False)  # 80 columns do
    filled = [place for place in range(len(columns)) if any(row[place] for row in rows)]
    for place in filled:
        table.add_column(columns[place], justify="right" if place else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(row[place] for place in filled))
    Console().print(table)

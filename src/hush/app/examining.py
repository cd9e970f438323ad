"""A run that draws, examined: by its own data or by others, as `hush evaluate` prints it and
`hush.evaluate` returns it."""

import json
import os
from pathlib import Path
from typing import Any

from hush.app.command import command
from hush.data import Source, open_source, split
from hush.errors import UserError
from hush.evaluation.examine import Asked, examine, quick
from hush.evaluation.page import About, Curve
from hush.evaluation.report import Report
from hush.system import System
from hush.systems.index import load
from hush.training.run import Run
from hush.world import World

CURVES = {"training": "loss", "held out": "held_out/mean"}


def evaluate(run: str | os.PathLike[str], data: Source | str | None = None, **asked: Any) -> Report:
    """Examine a run that draws from nothing: bits per dimension, distances, copies, calibration.

    It is held against the part of its own data that it was never taught, or against other `data`.
    `asked` are the fields of `hush.evaluation.Asked`. The report shows itself in a notebook, and
    `report.save("report.html")` writes it as a page. Samples are drawn in 20 evaluations of the
    network each. Raises `UserError` for data that are not of the run's kind or cannot be opened.
    """
    system = load(run)
    device = World().device
    system.denoiser.to(device)
    system.codec.to(device)
    system, how = quick(system), Asked(**asked)
    own = source(run, system, data)
    said = ", ".join([repr(str(run)), *(f"{key}={value!r}" for key, value in asked.items())])
    told = about(run, system, own, how.seed, f"hush.evaluate({said})")
    return examine(system, *parts(run, system, own), how, told)


def source(
    run: str | os.PathLike[str], system: System, data: Source | str | None, **options: Any
) -> Source:
    """The data that a run is measured by: its own, read as for training, or others."""
    recorded = Run(run).record.get("data", {})
    if data is None and not recorded.get("name"):
        raise UserError(f"{run} does not say what it has learnt from: give --data.")
    if not isinstance(data, Source):
        own = data is None or data == recorded.get("name")
        asked = {**_shaped(system), **recorded.get("asked", {})} if own else {}
        try:
            data = open_source(data or recorded["name"], **{**asked, **options})
        except UserError as error:
            if data is not None:
                raise
            raise UserError(
                f"The data of {run} are not where they were: {error} Or give --data."
            ) from error
    if tuple(data.shape) != tuple(system.task.shape):
        raise UserError(
            f"{data.name} has records of shape {tuple(data.shape)}, the run is of "
            f"{tuple(system.task.shape)}: give it data of the same kind."
        )
    known = tuple(getattr(system.task, "classes", ()))
    if known and tuple(data.classes) != known:
        raise UserError(
            f"{data.name} has {len(data.classes)} classes, and the run is told which of "
            f"{', '.join(known)} a record is: give it data with these, as subfolders have them."
        )
    return data


def _shaped(system: System) -> dict[str, Any]:
    """How pictures must be read to be of the run's kind, where nothing else is known."""
    channels, *size = system.task.shape
    if len(size) != 2 or channels not in (1, 3, 4):
        return {}
    return {"size": tuple(size), "channels": channels}


def parts(
    run: str | os.PathLike[str], system: System, measured: Source, beside: bool = True
) -> tuple[Source | None, Source]:
    """(what the run has learnt from, what it has not): of its own data the part that was held out;
    of other data all, `beside` what it learnt from if that can still be opened."""
    record = Run(run).record
    share, name = record.get("recipe", {}).get("held_out"), record.get("data", {}).get("name")
    if not share or not name:
        return None, measured
    own, seed = measured, record["recipe"]["seed"]
    if measured.name != name:
        if not beside:
            return None, measured
        try:
            own = source(run, system, None)
        except UserError:
            return None, measured
    seen, unseen = split(own, share, seed=seed)
    return seen, unseen if own is measured else measured


def about(
    run: str | os.PathLike[str], system: System, measured: Source, seed: int, said: str
) -> About:
    """What was judged, and how to make it again; `said` asks for the report."""
    record = Run(run).record
    settings = {**record["arguments"], **record.get("recipe", {})}
    settings |= {"sampler": system.sampler, "grid": system.grid}
    return About(
        name=system.name,
        cite=system.cite,
        run=str(run),
        data=f"{measured.name}: {measured.summary()}",
        drawn=f"by {type(system.sampler).__name__} in {system.grid.steps} steps",
        seed=seed,
        made=command(record, Path(run)),
        asked=said,
        settings=settings,
        curves=curves(Path(run)),
    )


def curves(run: Path) -> dict[str, Curve]:
    """(step, loss) as training and its examinations reported them."""
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    rows = [json.loads(line) for line in lines]
    found = {
        name: [(float(row["step"]), row[key]) for row in rows if key in row]
        for name, key in CURVES.items()
    }
    return {name: points for name, points in found.items() if points}

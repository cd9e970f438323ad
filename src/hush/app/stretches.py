"""`hush detect` of a run of series: stretches of a file that are not what the run would expect."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from hush.app.telling import Options, Whole, Word, asked, drawn_beside, reading
from hush.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from hush.data import Windows
    from hush.tasks.stretches import Scored, Stretch

Real = Annotated[float | None, tyro.conf.arg(metavar="FLOAT")]


@dataclass(frozen=True)
class Detect(Options):
    """The stretches of a file whose values a run of series tells otherwise from all the others, a
    row each; NAME-scores beside it has the score of every stamp, and NAME.png shows the bands of
    what was told, the values, and the stretches.

    Values are hidden block by block and told; their score, CRPS over the CRPS expected, is 1 on
    average where the run is right. What is above the level that --rate of the values of a sound
    file lie above is a stretch."""

    samples: int = 50
    """Answers to each block."""
    rate: float = 0.01
    """The share of sound values that are called anomalous."""
    sound: Word = None
    """A file of sound series to calibrate on; by default the one the run learnt from."""
    level: Real = None
    """The score to be above, in place of a calibrated one."""
    width: int = 5
    """Stamps that scores are smoothed over, and that stretches are at most apart to be one."""
    block: Whole = None
    """Stamps that are hidden at once, by default a quarter of a window: the longer the anomalies,
    the more. A forecaster hides its horizon."""
    labels: Word = None
    """A column that is 1 where something is anomalous, else 0: how well the scores agree is
    printed."""


def detect(arguments: list[str]) -> None:
    """Find the stretches of a file that do not belong."""
    import torch

    from hush.tasks.stretches import scored

    system, source, options, how = asked(Detect, "detect", arguments)
    how |= {"width": options.width, "block": options.block}
    sound = None if options.level is not None else _sound(options, source)
    marks = _marks(options) if options.labels else None  # what is wrong is said before the work
    if sound is None:
        known, level = None, torch.full((len(source.channels),), options.level)
    else:
        known = scored(system, sound, **how)
        level = known.level(options.rate)
    same = known is not None and sound.digest() == source.digest()
    found = known if same else scored(system, source, **how)
    stretches = found.stretches(level)
    scores = options.out.with_name(f"{options.out.stem}-scores{options.out.suffix}")
    _write(found.listed(stretches), options.out, index=False)
    _write(found.frame(), scores, index=True)
    _draw(found, stretches, options.out)
    whence = f", what {options.rate:g} of {sound.name} lie above" if sound else ""
    levels = ", ".join(f"{n} {x:.3g}" for n, x in zip(source.channels, level.tolist(), strict=True))
    print(
        f"{len(stretches):,} stretches scored above {levels}{whence}, with seed {how['seed']} in "
        f"{options.out}; the scores of all stamps in {scores}"
    )
    if marks is not None:
        print(f"AUROC {_agreement(found, marks):.3f} of the scores with {options.labels}")


def _sound(options: Detect, source: "Windows") -> "Windows":
    """The series to calibrate on, read as the file is."""
    from hush.data import series
    from hush.data.known_series import KNOWN
    from hush.training.run import Run

    name = options.sound or str((Run(options.run).record.get("data") or {}).get("name"))
    if options.sound is None and not os.path.exists(name) and name not in KNOWN:
        raise UserError(
            f"{name}, which {options.run} learnt from, is not there to calibrate on: name a file "
            "of sound series in --sound, or a --level."
        )
    return series(name, length=1, **{**reading(options, name), "values": source.channels})


def _marks(options: Detect) -> "Tensor":
    """The column of labels, (stamp,)."""
    from hush.data import series

    reading = {key: getattr(options, key) for key in ("time", "item", "time_format", "delimiter")}
    return series(options.file, length=1, values=(options.labels,), **reading).table.values[0]


def _agreement(found: "Scored", marks: "Tensor") -> float:
    """The AUROC of the highest score at each stamp with the labels."""
    from hush.evaluation.detection import auroc

    scores = found.score.nan_to_num(-1.0).amax(0)
    known = ~found.score.isnan().all(0) & ~marks.isnan()
    return auroc(scores[known], marks[known] > 0.5)


def _write(table: Any, path: Path, index: bool) -> None:
    """A table of pandas as CSV, or Parquet by its ending."""
    from hush.data.atomic import PARQUET, atomically

    write = table.to_parquet if path.suffix.lower() in PARQUET else table.to_csv
    atomically(str(path), lambda aside: write(aside, index=index))


def _draw(found: "Scored", stretches: "list[Stretch]", out: Path) -> None:
    """Each channel of each series around its highest stretch, those with one first."""
    from hush.data.history import Panel, history

    worst = {(one.item, one.channel): one for one in sorted(stretches, key=lambda one: one.score)}
    bounds, channels = found.source.table.bounds, range(len(found.source.channels))
    panels = [Panel(item, k, (one.start + one.stop) // 2) for (item, k), one in worst.items()][::-1]
    panels += [
        Panel(item, k, bounds[item])
        for item in range(len(found.source.items))
        for k in channels
        if (item, k) not in worst
    ]
    marked = [(one.channel, one.start, one.stop) for one in stretches]
    drawn_beside(out, history(found.source, found.told, panels, marked))

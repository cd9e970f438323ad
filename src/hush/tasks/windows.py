"""Windows of series drawn from nothing."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from hush.data.bands import bands
from hush.data.drawn import write_windows
from hush.errors import UserError
from hush.networks.series import SERIES
from hush.samplers import Sampler
from hush.samplers.grids import Grid
from hush.system import System
from hush.tasks.generate import Choice, Generate
from hush.tensors import Condition

ROWS = 256  # windows that are walked at once


@dataclass(frozen=True)
class GenerateSeries(Generate):
    """Windows (channel, length) of nothing but whole stamps, of a series by its name if the model
    has `classes`."""

    field: str = SERIES

    shows: ClassVar[int] = 6

    def picture(
        self, answers: Tensor, cond: Condition | None = None, data: Tensor | None = None
    ) -> Tensor:
        """Windows one below the other."""
        return bands(torch.full_like(answers, torch.nan), answers.unsqueeze(1))


def generate(
    system: System,
    count: int,
    out: str | os.PathLike[str],
    channels: tuple[str, ...] = (),
    cond: Choice | None = None,
    seed: int = 0,
    batch: int = ROWS,
    **how: Any,
) -> None:
    """Write `count` new windows to a CSV file, or Parquet by its ending, in long form: "sample",
    their number; "time", 0, 1, … in steps of the series; a column for each of the `channels`, in
    the table's own units (see `hush.data.drawn.write_windows`).

    Window k is `system.sample(1, seed=seed, start=k)`, whatever the `batch`; no more than one batch
    is held. `how` are the other arguments of `System.sample`, such as `sampler` and `grid`. Raises
    `UserError` for a model that draws no windows.
    """
    must_draw(system)
    names = channels or tuple(f"channel {k + 1}" for k in range(system.task.shape[0]))
    write_windows(out, windows(system, count, cond, seed, batch, **how), names)


def windows(
    system: System,
    count: int,
    cond: Choice | None = None,
    seed: int = 0,
    batch: int = ROWS,
    sampler: Sampler | None = None,
    grid: Grid | int | None = None,
    **how: Any,
) -> Iterator[tuple[Tensor, list[str] | None]]:
    """(windows (batch, channel, length), the name of the class of each) some at a time."""
    for start in range(0, count, batch):
        size = min(batch, count - start)
        drawn = system.sample(size, cond, sampler, grid, seed, batch=batch, start=start, **how)
        labels = system.request(size, cond, start)[1]
        known = system.task.classes
        yield drawn.cpu(), None if labels is None else [known[k] for k in labels.tolist()]


def must_draw(system: System) -> None:
    """Raise `UserError` unless the system draws windows of series from nothing."""
    if not isinstance(system.task, GenerateSeries):
        told = len(system.task.shape) == 2
        raise UserError(
            f"A model of {system.name} draws no windows of series from nothing: use hush "
            f"{'impute or hush forecast' if told else 'sample'}, or train ddpm, edm or "
            "rectified_flow on a file of series."
        )

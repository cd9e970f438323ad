"""Series out of a table: every column read once, each series in the order of its stamps."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from hush.data.cells import Cells
from hush.data.numbers import Numbers
from hush.data.roles import Roles, roles
from hush.data.series_options import SeriesOptions
from hush.data.stamps import StampReader, calendar, elapsed
from hush.data.words import shown
from hush.errors import UserError


@dataclass(frozen=True)
class Timetable:
    """All series of a table, one after the other, each in the order of its stamps.

    Series i has the stamps `bounds[i]` to `bounds[i + 1]` - 1.
    """

    cells: Cells
    channels: tuple[str, ...]
    items: tuple[str, ...]
    """The names of the series, in the order they first appear."""
    features: tuple[str, ...]
    values: Float32[Tensor, "channel stamp"]
    """In the table's own units, NaN where missing."""
    time: Float64[Tensor, " stamp"]
    """Sampling steps since the first stamp of the series."""
    covariates: Float32[Tensor, "feature stamp"]
    static: Float32[Tensor, "item fact"]
    rows: Int64[Tensor, " stamp"]
    """Which row of the table, the first being 0, a stamp is."""
    bounds: tuple[int, ...]
    notes: tuple[str, ...]


def timetable(cells: Cells, options: SeriesOptions) -> Timetable:
    """Read a table. Raises `UserError` naming the row and column of what cannot be understood, a
    stamp that comes twice, a column without any value, or covariates that are missing."""
    columns = roles(cells, options)
    stamps = StampReader(cells.name, columns.time, options.time_format)
    moment, wall, codes, items, numbers = _read(cells, columns, stamps, options)
    _must_have_stamps(cells, moment, stamps, options)
    order = np.lexsort((moment, codes))
    notes = _sorted(order, codes)
    moment, wall, codes = moment[order], wall[order], codes[order]
    bounds = (0, *np.cumsum(np.bincount(codes, minlength=len(items))).tolist())
    _must_differ(cells, moment, codes, order, items)
    values, covariates, static = (
        numbers[part][:, order] for part in ("values", "covariates", "static")
    )
    _must_be_known(cells, columns.covariates, covariates, order)
    steps = elapsed(moment, None if stamps.numeric else wall, bounds)
    names, derived = calendar(options.calendar, wall, steps)
    notes += _kind(stamps) + _spacing(steps, bounds) + _plain(cells, columns.values, values)
    return Timetable(
        cells,
        columns.values,
        items,
        (*columns.covariates, *names),
        torch.from_numpy(values),
        torch.from_numpy(steps),
        torch.from_numpy(np.concatenate([covariates, derived])),
        torch.from_numpy(_facts(cells, columns.static, static, bounds, items)),
        torch.from_numpy(order),
        bounds,
        tuple(notes),
    )


def _read(cells: Cells, columns: Roles, stamps: StampReader, options: SeriesOptions) -> Any:
    """(moment, wall, the number of each row's series, their names, the numbers by their role)."""
    reader, row = Numbers(cells.name, options.missing), cells.first
    moments, walls, codes, known = [], [], [], {}
    parts: dict[str, list[np.ndarray]] = {"values": [], "covariates": [], "static": []}
    for chunk in cells.chunks():
        moment, wall = stamps.read(chunk[columns.time], row)
        names = _names(cells, columns, chunk, row) if columns.item else [""] * len(moment)
        moments.append(moment)
        walls.append(wall)
        codes.append(np.array([known.setdefault(name, len(known)) for name in names]))
        for role, held in parts.items():
            named = getattr(columns, role)
            found = [reader.read(chunk[name], name, row) for name in named]
            held.append(np.array(found, dtype=np.float32).reshape(len(named), len(moment)))
        row += len(moment)
    if not moments:
        return np.empty(0), None, None, (), parts
    whole = {role: np.concatenate(held, axis=1) for role, held in parts.items()}
    joined = (np.concatenate(part) for part in (moments, walls, codes))
    return *joined, tuple(map(shown, known)), whole


def _names(cells: Cells, columns: Roles, chunk: Any, first: int) -> list[str]:
    """Which series each row belongs to."""
    held = chunk[columns.item]
    if hasattr(held, "dtype"):
        held = held.astype(object).where(held.notna(), "")
    names = [str(name).strip() for name in held]
    if "" in names:
        raise UserError(
            f"Row {first + names.index('')} of {cells.name} is of no series: its column "
            f"{shown(columns.item)} is empty; name the series, or leave the row out."
        )
    return names


def _must_have_stamps(
    cells: Cells, moment: np.ndarray, stamps: StampReader, options: SeriesOptions
) -> None:
    if not len(moment):
        raise UserError(f"{cells.name} has no rows; expected stamps with values.")
    if stamps.numeric and set(options.calendar) - {"position"}:
        raise UserError(
            f"calendar={', '.join(options.calendar)}: the stamps of {cells.name} are numbers, and "
            "have no calendar; leave it out, or write them as dates."
        )


def _sorted(order: np.ndarray, codes: np.ndarray) -> list[str]:
    """Rows that came out of the order of time are put into it, and that is said."""
    off = int(np.sum((np.diff(order) < 0) & (np.diff(codes[order]) == 0)))
    return [f"rows were not in the order of time ({off:,} breaks) and were sorted"] if off else []


def _must_differ(
    cells: Cells, moment: np.ndarray, codes: np.ndarray, order: np.ndarray, items: Sequence[str]
) -> None:
    same = np.flatnonzero((np.diff(moment) == 0) & (np.diff(codes) == 0))
    if len(same):
        here, there = sorted(int(order[i]) + cells.first for i in (same[0], same[0] + 1))
        whose = f" of {items[int(codes[same[0]])]}" if len(items) > 1 else ""
        raise UserError(
            f"{cells.name}: rows {here} and {there}{whose} have the same stamp, and so with "
            f"{len(same):,} pairs; remove one of each or, if the file holds many series one below "
            "the other, name the column that tells them apart in item."
        )


def _must_be_known(
    cells: Cells, names: Sequence[str], covariates: np.ndarray, order: np.ndarray
) -> None:
    for name, row in zip(names, covariates, strict=True):
        absent = np.flatnonzero(np.isnan(row))
        if len(absent):
            first = int(order[absent].min()) + cells.first
            raise UserError(
                f"{cells.name}: the covariate {shown(name)} is missing in {len(absent):,} rows, "
                f"first in row {first}; fill it, or name it in values, where cells may be empty."
            )


def _facts(
    cells: Cells, names: Sequence[str], rows: np.ndarray, bounds: Sequence[int], items: Any
) -> np.ndarray:
    """What is static of each series (item, fact)."""
    facts = np.empty((len(items), len(names)), dtype=np.float32)
    for i, (start, end) in enumerate(pairwise(bounds)):
        for k, name in enumerate(names):
            found = np.unique(rows[k, start:end][~np.isnan(rows[k, start:end])])
            if len(found) != 1:
                said = ", ".join(f"{value:g}" for value in found[:3]) or "none"
                raise UserError(
                    f"{cells.name}: the static column {shown(name)} has {len(found)} values in the "
                    f"series {items[i] or 'of the table'} ({said}); expected one; name it in "
                    "covariates if it changes."
                )
            facts[i, k] = found[0]
    return facts


def _kind(stamps: StampReader) -> list[str]:
    if stamps.numeric:
        return ["stamps are numbers, not dates"]
    count = len(stamps.offsets)
    said = f"stamps have {count} UTC offsets and are put in the order of the moments they mean"
    return [said] if count > 1 else []


def _spacing(steps: np.ndarray, bounds: Sequence[int]) -> list[str]:
    apart = np.concatenate([np.diff(steps[start:end]) for start, end in pairwise(bounds)])
    if not len(apart) or np.allclose(apart, 1.0, atol=1e-6):
        return []
    return [f"stamps {apart.min():.3g} to {apart.max():.3g} steps apart"]


def _plain(cells: Cells, names: Sequence[str], values: np.ndarray) -> list[str]:
    """Columns that say nothing: without a value, which is an error, or with one alone."""
    notes = []
    for name, row in zip(names, values, strict=True):
        known = row[~np.isnan(row)]
        if not len(known):
            raise UserError(
                f"{cells.name}: column {shown(name)} has no value in any row; name the columns to "
                "learn in values, without it."
            )
        if len(known) > 1 and known.min() == known.max():
            notes.append(f"column {shown(name)} is {known[0]:g} throughout")
    return notes

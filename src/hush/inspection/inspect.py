"""`hush.inspect`: what data are, and what hush would choose for them."""

import os
from itertools import pairwise
from typing import Any

from hush.data import Source, Windows
from hush.data.encoded import EncodedPictures
from hush.data.inspected import Inspected, inspected_pictures, inspected_series
from hush.data.inspected.pictures import MOST
from hush.data.inspected.regular import period
from hush.data.inspected.tables import Table
from hush.data.open import holds_series, open_source
from hush.data.options import PictureOptions
from hush.data.series import OPTIONS, series
from hush.data.series_options import LENGTH, SeriesOptions
from hush.data.source import split
from hush.errors import UserError
from hush.inspection.candidates import Terms
from hush.inspection.chosen import chosen
from hush.inspection.report import Report
from hush.inspection.said import as_said
from hush.inspection.sized import sized
from hush.recipe import Choice
from hush.systems.index import TABLE, find
from hush.systems.suited import windowed

PICTURES = (*PictureOptions.__dataclass_fields__, "column", "label", "split")
SEASONS, WINDOWS, SHORTEST = 3, 8, 8  # in a window; windows in the longest series; stamps


def inspect(
    data: Any,
    system: str | None = None,
    hours: float | None = None,
    memory: float | None = None,
    most: int = MOST,
    **said: Any,
) -> Report:
    """What is in a folder, file or table, what is wrong with it, and what hush would choose for it
    and this machine: how it is read, the normaliser, the noise, network, batch and steps.

    data      what `hush train --data` takes, or a DataFrame
    system    whose choices; ddpm of pictures, csdi of series
    hours     that training may take, by default a night of 8
    memory    bytes that a training step may count on, by default what is free
    most      pictures that are opened
    said      settings that are yours to choose: options of `hush train` by name, size=64, width=32

    Raises `UserError` for data that cannot be read at all; what can be mended is a finding.
    """
    name = os.fspath(data) if isinstance(data, str | os.PathLike) else "table"
    tells = not isinstance(data, str | os.PathLike) or holds_series(name, said)
    system = system or ("csdi" if tells else "ddpm")
    find(system)
    kinds = TABLE[system].data.split(", ")
    if ("series" if tells else "pictures") not in kinds:
        found = "series, not pictures" if tells else "pictures, not series"
        kind = "series" if tells else "pictures"
        known = ", ".join(each for each, row in TABLE.items() if kind in row.data)
        raise UserError(f"{name} holds {found}: for {system} name other data, or one of {known}.")
    terms = Terms.of(system, said, hours, memory)
    found, source, ways, refused = (_series if tells else _pictures)(data, terms, most)
    report = {"said": said, "source": source, "refused": refused}
    if source is not None:
        report["choices"] = as_said((*ways, *chosen(source, terms)), said)
    return Report(name, system, found.facts, found.findings, **report)


Read = tuple[Inspected, Source | None, list[Choice], str]


def _pictures(data: Any, terms: Terms, most: int) -> Read:
    """What pictures are, as they would be read, and how that is."""
    said = {key: value for key, value in terms.said.items() if key in PICTURES}
    said["skip_broken"] = True
    source, ways = open_source(data, **said), []
    if isinstance(source, EncodedPictures) and not {"size", "given"} & terms.said.keys():
        side, way = sized(source, lambda size: open_source(data, **{**said, "size": size}), terms)
        ways.append(way)
        if side is not None:
            source = open_source(data, **{**said, "size": side})
    found = inspected_pictures(source, most)
    if any("cannot be read" in one.what for one in found.findings):
        why = "training would stop at the first"
        ways.append(Choice("broken files", "left out", why, {"skip_broken": True}))
    return found, source, ways, ""


def _series(data: Any, terms: Terms, most: int) -> Read:
    """What series are, and as which windows they would be read."""
    said = {key: value for key, value in terms.said.items() if key in OPTIONS}
    found, table = inspected_series(data, SeriesOptions(**said))
    ways, known = [], table.known()
    if not said.get("values") and known and len(known) < len(table.columns.values):
        why = "the others hold no number"
        ways.append(Choice("columns", f"{len(known):,}", why, {"values": known}))
    lengths, why = [None], ""
    if not {"length", "context", "horizon"} & said.keys():
        lengths, why = _lengths(table)
    for length in lengths:
        reading = {key: value for way in ways for key, value in way.settings.items()}
        reading |= {} if length is None else {"length": length}
        try:
            source: Windows = series(data, **windowed(terms.name, {**said, **reading}))
            split(source, terms.said.get("held_out", 0.05))
        except UserError as error:
            refused = str(error)
            continue
        if length is not None:
            ways.append(Choice("window", f"{length:,} stamps", why, {"length": length}))
        return found, source, ways, ""
    return found, None, [], refused


def _lengths(table: Table) -> tuple[list[int], str]:
    """Windows to try, the longest first, and why that one."""
    bounds = table.bounds
    longest = max(end - start for start, end in pairwise(bounds))
    good = [table.columns.values.index(name) for name in table.known()]
    season = period(table.values[good], bounds) if good else None
    room = max(SHORTEST, longest // WINDOWS)
    length, why = LENGTH, "the usual, for no season stands out"
    if season and season * SEASONS <= room:
        length, why = season * SEASONS, f"{SEASONS} seasons of {season:,} stamps"
    elif season and season <= room:
        length, why = season, f"a season; there are too few stamps for {SEASONS}"
    if length > room:
        length, why = room, f"an eighth of the longest series, which has {longest:,} stamps"
    found = [length]
    while found[-1] // 2 >= SHORTEST:
        found.append(found[-1] // 2)
    return found, why

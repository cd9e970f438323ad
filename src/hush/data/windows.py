"""Windows of series: records that are views into one array."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Int64
from torch import Tensor

from hush.data.series_options import SeriesOptions
from hush.data.source import Source, checksum
from hush.data.timetable import Timetable
from hush.data.words import shown
from hush.errors import UserError

Span = tuple[int, int]  # the first stamp of one series that may be used, and the one after the last


class Windows(Source):
    """The windows of `options.window` stamps, every `options.stride`, of each series in its span.

    A record batch has

        "series"     float32 (batch, channel, length)   in the file's units, NaN where missing
        "time"       float32 (batch, length)            sampling steps after the window's first
        "covariates" float32 (batch, feature, length)   given and calendar, where there are any
        "static"     float32 (batch, fact)              where there are any
        "item"       int64 (batch,)                     which series, an index into `items`

    and "label", the same as "item", where the series are classes. No window is kept: a window is
    where it starts. Raises `UserError` where no series is as long as a window, and where all hold
    something missing that are to be `options.whole`.
    """

    def __init__(
        self,
        table: Timetable,
        options: SeriesOptions,
        spans: Sequence[Span] | None = None,
        thin: int = 1,
    ) -> None:
        self.table, self.options, self.thin = table, options, thin
        self.spans = tuple(pairwise(table.bounds)) if spans is None else tuple(spans)
        self.name, self.items = table.cells.name, table.items
        self.channels, self.features = table.channels, table.features
        self.shape = (len(table.channels), options.window)
        self.classes = table.items if options.labels else ()
        self._firsts, gone = self._found()
        short = sum(0 < end - start < options.window for start, end in self.spans)
        told = [f"{short:,} series shorter than a window are left out"] if short else []
        told += [f"{gone:,} windows with something missing are left out"] if gone else []
        self.notes = (*table.notes, *told)

    def __len__(self) -> int:
        return -(-len(self._firsts) // self.thin)

    @property
    def misses(self) -> bool:
        """Whether the table has a value that is missing."""
        return bool(self.table.values.isnan().any())

    def place(self, index: int) -> tuple[int, slice]:
        """(the series, the stamps of the table) of a window."""
        first = int(self._firsts[range(len(self))[index] * self.thin])
        item = bisect_right(self.table.bounds, first) - 1
        return item, slice(first, first + self.options.window)

    def read(self, indices: Sequence[int], draws: Sequence[int] | None = None) -> dict[str, Tensor]:
        return self.at([self.place(index) for index in indices])

    def at(self, places: Sequence[tuple[int, slice]]) -> dict[str, Tensor]:
        """The record batch of windows that lie anywhere: (series, stamps of the table), all of one
        length."""
        table, item = self.table, torch.tensor([item for item, _ in places], dtype=torch.int64)
        time = torch.stack([table.time[part] for _, part in places])
        record = {
            "series": torch.stack([table.values[:, part] for _, part in places]),
            "time": (time - time[:, :1]).float(),
            "item": item,
        }
        if table.features:
            record["covariates"] = torch.stack([table.covariates[:, part] for _, part in places])
        if table.static.shape[1]:
            record["static"] = table.static[item]
        if self.classes:
            record["label"] = item
        return record

    def digest(self) -> str:
        table = self.table
        arrays = (table.values, table.time, table.covariates, table.static)
        held = [part.contiguous().numpy().reshape(-1) for part in arrays]
        cut = (self.options.window, self.options.stride, self.spans, self.thin)
        cut += ("whole",) if self.options.whole else ()
        return checksum(repr(cut), *table.channels, *table.features, *table.items, *held)

    def summary(self) -> str:
        """One line for a person: "2,221 windows of 64 stamps; 1 series of 1 channel (co2), …"."""
        values, count = self.table.values, len(self.channels)
        listed = ", ".join(map(shown, self.channels[:4])) + (", …" if count > 4 else "")
        parts = [
            f"{len(self):,} window{'' if len(self) == 1 else 's'} of {self.shape[1]:,} stamps",
            f"{len(self.items):,} series of {count:,} channel{'s'[: count != 1]} ({listed})",
        ]
        missing = int(values.isnan().sum())
        if missing:
            parts.append(f"{missing:,} of {values.numel():,} values missing")
        return "; ".join([", ".join(parts), *self.notes])

    def parted(self, fraction: float, most: int, seed: int) -> tuple["Windows", "Windows"]:
        """The windows of the past, and those of the last `fraction` of each series' stamps.

        No window of the first touches a stamp that the second is judged on. Those are all the
        stamps of its windows or, with a horizon, the horizon: a context may reach back. A series
        too short for both is learnt from, and not held out. At most `most` are held out, thinned
        evenly. Raises `UserError` where no series is long enough. `seed` changes nothing.
        """
        context, length = self.options.context or 0, self.options.window
        past, future = [], []
        for start, end in self.spans:
            cut = end - max(round(fraction * (end - start)), length - context)
            if cut - start < length:
                cut, begin = end, end
            else:
                begin = cut - context
            past.append((start, cut))
            future.append((begin, end))
        if all(start == end for start, end in future):
            longest = max(end - start for start, end in self.spans)
            raise UserError(
                f"{self.name} has {longest:,} stamps in its longest series; windows of {length:,} "
                f"to learn from and to hold out need {2 * length - context:,}: pass a smaller "
                "length."
            )
        held = Windows(self.table, self.options, future)
        thin = -(-len(held) // most)
        kept = Windows(self.table, self.options, past, self.thin)
        return kept, Windows(self.table, self.options, future, thin)

    def _found(self) -> tuple[Int64[Tensor, " window"], int]:
        """Where the windows start, and how many are left out for what they miss."""
        length, stride = self.options.window, self.options.stride
        starts = [
            torch.arange(start, end - length + 1, stride)
            for start, end in self.spans
            if end - start >= length
        ]
        if not starts:
            longest = max(end - start for start, end in self.spans)
            raise UserError(
                f"{self.name} has {longest:,} stamps in its longest series; expected at least one "
                f"window of {length:,}: pass a smaller length."
            )
        firsts = torch.cat(starts)
        if not self.options.whole:
            return firsts, 0
        missing = self.table.values.isnan().any(0).cumsum(0)
        missing = torch.nn.functional.pad(missing, (1, 0))
        whole = firsts[missing[firsts + length] == missing[firsts]]
        if not len(whole):
            raise UserError(
                f"{self.name}: every window of {length:,} stamps holds something missing, and "
                "whole ones are to be learnt; pass a smaller length, fewer values, or fill the "
                "gaps first (hush impute)."
            )
        return whole, len(firsts) - len(whole)

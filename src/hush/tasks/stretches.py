"""Anomalous stretches of series: values that a model tells otherwise from all the others.

table ── blocks, each hidden in turn ──► told ──► score of every value ──► smoothed ─┐
sound table ── the same ──► the level that so many sound values are above ──► stretches
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from hush.data import Windows
from hush.data.bands import SHARES
from hush.data.clock import stamps_of
from hush.errors import UserError
from hush.evaluation.quantiles import quantiles
from hush.system import System
from hush.tasks.ahead import Ahead
from hush.tasks.fit import must_fit
from hush.tasks.impute import Span, told

Whole = Float[Tensor, "channel stamp"]

LEAST = 1e-4  # of a channel's deviation: samples nearer to each other count as so far apart


class Stretch(NamedTuple):
    """Stamps `start` to `stop` - 1 of a table, which series they are of, and which channel; the
    highest score among them."""

    item: int
    channel: int
    start: int
    stop: int
    score: float


@dataclass(frozen=True)
class Scored:
    """What a model says of every known value of a table.

    source  the table
    raw     the score of each value; NaN where it is not known, or nothing to tell it from
    told    the quantiles (share, channel, stamp) of what it was told to be, of `bands.SHARES`
    width   stamps that a score is smoothed over
    """

    source: Windows
    raw: Whole
    told: Float[Tensor, "share channel stamp"]
    width: int = 5

    @cached_property
    def score(self) -> Whole:
        """The mean of what is scored of the `width` stamps around each, in its own series."""
        known = ~self.raw.isnan()
        parts = self.source.table.bounds
        found = [
            _summed(self.raw.nan_to_num()[:, start:end], self.width)
            / _summed(known[:, start:end].float(), self.width)
            for start, end in pairwise(parts)
        ]
        return torch.cat(found, 1).where(known, torch.nan)

    def level(self, rate: float) -> Float[Tensor, " channel"]:
        """What a share `rate` of the scores of each channel lies above. Raises `UserError` for a
        rate that is no share, and for fewer scores than show it."""
        if not 0.0 < rate < 1.0:
            raise UserError(f"rate={rate:g}: expected a share between 0 and 1, such as 0.01.")
        rows = [row[~row.isnan()] for row in self.score]
        least = min(map(len, rows))
        if least * rate < 1.0:
            raise UserError(
                f"{self.source.name} has {least:,} values to calibrate on in a channel; to see "
                f"what {rate:g} of them lie above takes {1.0 / rate:,.0f}: give more, or a larger "
                "rate."
            )
        return torch.stack([row.quantile(1.0 - rate) for row in rows])

    def stretches(self, level: Float[Tensor, " channel"]) -> list[Stretch]:
        """The stretches whose scores are above the level of their channel, by their start; what is
        no more than `width` stamps apart is one."""
        above, found = self.score > level.unsqueeze(1), []
        for item, (start, end) in enumerate(pairwise(self.source.table.bounds)):
            for channel, row in enumerate(above[:, start:end]):
                for low, high in _runs(row, self.width):
                    here = slice(start + low, start + high)
                    peak = self.score[channel, here].nan_to_num().max().item()
                    found.append(Stretch(item, channel, here.start, here.stop, peak))
        return sorted(found, key=lambda one: (one.start, one.channel))

    def frame(self) -> Any:
        """The smoothed scores at every stamp, a column "NAME score" for each channel; in long form
        the series' name comes first."""
        import pandas

        columns: dict[str, Any] = {}
        source = self.source
        if item := source.options.item:
            lengths = [end - start for start, end in pairwise(source.table.bounds)]
            columns[item] = [
                n for n, k in zip(source.items, lengths, strict=True) for _ in range(k)
            ]
        named = zip(source.channels, self.score, strict=True)
        columns |= {f"{name} score": row.numpy() for name, row in named}
        return pandas.DataFrame(columns, index=pandas.Index(stamps_of(source), name="time"))

    def listed(self, found: list[Stretch]) -> Any:
        """Stretches as a table: the series' name in long form, channel, the stamps they start and
        stop with, how many these are, score."""
        import pandas

        stamps, source = stamps_of(self.source), self.source
        rows = {
            "channel": [source.channels[one.channel] for one in found],
            "start": [stamps.iloc[one.start] for one in found],
            "stop": [stamps.iloc[one.stop - 1] for one in found],
            "stamps": [one.stop - one.start for one in found],
            "score": [one.score for one in found],
        }
        named = {source.options.item: [source.items[one.item] for one in found]}
        return pandas.DataFrame(named | rows if source.options.item else rows)


def scored(
    system: System,
    source: Windows,
    samples: int = 50,
    width: int = 5,
    block: int | None = None,
    seed: int = 0,
    **how: Any,
) -> Scored:
    """Every known value of a table told from the others, in blocks that are hidden one after the
    other, and held against what it is.

    A value y that is told to be X, X', … of `samples` scores its CRPS over the CRPS expected of it,

        (E|X - y| - ½ E|X - X'|) / ½ E|X - X'|,

    on average 1 of values that have the law they are told to have, and growing with their distance
    from it. A block is of `block` stamps of all channels, by default a quarter of a window, in the
    middle of its window. A model that learnt to forecast tells its horizon ahead, TimeGrad one
    stamp, and nothing before its first window ends. `how` is as of `tasks.impute`.
    To hide and tell in turn: Chen et al. 2023, "ImDiffusion: imputed diffusion models for
    multivariate time series anomaly detection", where errors along the walk vote. The CRPS:
    Gneiting and Raftery 2007, "Strictly proper scoring rules, prediction, and estimation".

    Raises `UserError` for a table the model does not fit, or that is shorter than a window.
    """
    must_fit(system, source)
    for name, given in (
        ("samples", samples - 1),
        ("width", width),
        ("block", 1 if block is None else block),
    ):
        if given < 1:
            least = 2 if name == "samples" else 1
            raise UserError(f"{name} must be {least} or more, got {given + least - 1}.")
    values = source.table.values
    raw = torch.full_like(values, torch.nan)
    bands = raw.expand(len(SHARES), -1, -1).clone()
    spread = torch.stack([row[~row.isnan()].std() for row in values]).nan_to_num()
    for answer in told(
        system, source, _blocks(system, source, block), samples, seed, **how, hide=True
    ):
        drawn, asked = answer.asked.cpu(), answer.span.asked
        raw[:, asked] = surprise(values[:, asked], drawn, LEAST * spread.unsqueeze(1))
        bands[..., asked] = quantiles(drawn.unsqueeze(0), SHARES)[:, 0]
    if raw.isnan().all():
        raise UserError(
            f"{source.name} has no value that this model can tell from others: it learnt to tell "
            f"what ends windows of {system.task.shape[1]} stamps, and no series is as long."
        )
    return Scored(source, raw, bands, width)


def surprise(
    values: Float[Tensor, "channel stamp"],
    drawn: Float[Tensor, "sample channel stamp"],
    least: Float[Tensor, "channel 1"] | float = 0.0,
) -> Whole:
    """The CRPS of values over what is expected of it, by samples (see `scored`); these count as
    `least` apart at least."""
    count, ordered = len(drawn), drawn.double().sort(0).values
    weight = 2.0 * torch.arange(count, dtype=torch.float64) - count + 1.0
    apart = 2.0 * torch.tensordot(weight, ordered, 1) / (count * (count - 1))  # E |X - X'|
    away = (ordered - values).abs().mean(0)
    return (2.0 * away / apart.maximum(torch.as_tensor(least).double()) - 1.0).to(values)


def _blocks(system: System, source: Windows, block: int | None) -> Iterator[Span]:
    """The windows in which blocks are hidden, and these."""
    task, length = system.task, system.task.shape[1]
    ahead = task.hide == "forecast"
    size = block or max(1, length // 4)
    if ahead:
        size = 1 if isinstance(task, Ahead) else task.horizon
    cut: Callable[..., Iterator[tuple[int, int, int]]] = _ahead if ahead else _inside
    for item, (start, end) in enumerate(pairwise(source.table.bounds)):
        for first, low, high in cut(start, end, length, size):
            yield Span(item, slice(first, min(first + length, end)), slice(low, high))


def _inside(start: int, end: int, length: int, size: int) -> Iterator[tuple[int, int, int]]:
    """(where the window starts, the block), the block in the middle."""
    for low in range(start, end, size):
        high = min(low + size, end)
        first = min((low + high - length) // 2, end - length)
        yield max(first, start), low, high


def _ahead(start: int, end: int, length: int, size: int) -> Iterator[tuple[int, int, int]]:
    """The same, the block at the end."""
    for high in sorted(range(end, start + length - 1, -size)):
        yield high - length, high - size, high


def _summed(rows: Float[Tensor, "channel stamp"], width: int) -> Float[Tensor, "channel stamp"]:
    """Over `width` stamps around each, as many as there are."""
    total = torch.nn.functional.pad(rows.double().cumsum(1), (1, 0))
    place, count = torch.arange(rows.shape[1]), rows.shape[1]
    low = (place - (width - 1) // 2).clamp(min=0)
    high = (place + width // 2 + 1).clamp(max=count)
    return (total[:, high] - total[:, low]).to(rows)


def _runs(row: Tensor, gap: int) -> Iterator[tuple[int, int]]:
    """Where a row is true, as (first, one after the last); gaps of at most `gap` are closed."""
    places = row.nonzero().flatten().tolist()
    if not places:
        return
    low = before = places[0]
    for place in places[1:]:
        if place - before > gap + 1:
            yield low, before + 1
            low = place
        before = place
    yield low, before + 1

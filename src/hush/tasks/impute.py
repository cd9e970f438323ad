"""Series made whole: every missing value of a table told, window by window.

    table ── spans ──► windows that hold a gap ── told ──► samples ── impute ──► the table, filled

A window is asked about where it knows most: of two that overlap, each tells the half of the
overlap that lies nearer its own middle.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from hush.data import Windows, filled, series
from hush.errors import UserError
from hush.evaluation.held_out import device_of
from hush.evaluation.quantiles import quantiles as quantiles_of
from hush.networks.series import COVARIATES, SERIES, TIME
from hush.rng import Streams, derive
from hush.samplers import Sampler
from hush.samplers.grids import Grid
from hush.system import System
from hush.tasks.ahead import Ahead
from hush.tasks.fit import must_fill

Samples = Float[Tensor, "window sample channel length"]
Whole = Float[Tensor, "channel stamp"]

ROWS = 256  # answers that are walked at once
ALONG = (SERIES, TIME, COVARIATES)  # parts of a record that go along its stamps


class Span(NamedTuple):
    """A window of a table: which series, its stamps, and those of them it is asked about."""

    item: int
    window: slice
    asked: slice

    @property
    def within(self) -> slice:
        """What it is asked about, counted from the window's first stamp."""
        return slice(self.asked.start - self.window.start, self.asked.stop - self.window.start)


class Told(NamedTuple):
    """What a span is told to be: samples of its whole window, what is known of it as it was."""

    span: Span
    known: Float[Tensor, "channel length"]
    time: Float[Tensor, " length"]
    samples: Float[Tensor, "sample channel length"]

    @property
    def asked(self) -> Float[Tensor, "sample channel stamp"]:
        """The samples of what it is asked about."""
        return self.samples[..., self.span.within]


def spans(source: Windows, length: int) -> Iterator[Span]:
    """The windows of `length` stamps that hold something missing, half a window apart.

    Away from the ends of its series no value is told by a window in whose outer quarters it lies.
    A series that is no longer than a window is one.
    """
    gaps = source.table.values.isnan().any(0)
    for item, (start, end) in enumerate(pairwise(source.table.bounds)):
        firsts = [*range(start, end - length, max(1, length // 2)), max(start, end - length)]
        middles = [(one + two + length) // 2 for one, two in pairwise(firsts)]
        for first, (low, high) in zip(firsts, pairwise([start, *middles, end]), strict=True):
            if gaps[low:high].any():
                yield Span(item, slice(first, min(first + length, end)), slice(low, high))


def told(
    system: System,
    source: Windows,
    wanted: Iterator[Span] | Sequence[Span],
    samples: int = 100,
    seed: int = 0,
    sampler: Sampler | None = None,
    grid: Grid | int | None = None,
    batch: int = ROWS,
    hide: bool = False,
) -> Iterator[Told]:
    """`samples` answers to each span, some `batch` rows walked at once and none kept. With `hide`
    all of what it is asked about is told, whether it is known or not.

    Sample k of a window is drawn from a stream of its own, named by the window's first stamp: it is
    the same in whatever batch, and whatever else is missing elsewhere.
    """
    together = max(1, batch // samples)
    for _, alike in groupby(wanted, lambda span: span.window.stop - span.window.start):
        for part in _parts(alike, together):
            record = source.at([(span.item, span.window) for span in part])
            firsts = torch.tensor([span.window.start for span in part])
            if hide:
                for row, span in zip(record[SERIES], part, strict=True):
                    row[:, span.within] = torch.nan
            answers = drawn(system, record, firsts, samples, seed, sampler, grid, batch)
            rows = zip(part, record[SERIES], record[TIME], answers, strict=True)
            yield from (Told(*row) for row in rows)


@torch.no_grad()
def drawn(
    system: System,
    record: dict[str, Tensor],
    firsts: Int64[Tensor, " window"],
    samples: int = 100,
    seed: int = 0,
    sampler: Sampler | None = None,
    grid: Grid | int | None = None,
    batch: int = ROWS,
) -> Samples:
    """`samples` answers to each window of a record batch, NaN where something is to be told, some
    `batch` rows walked at once; `firsts` name the windows' streams."""
    device, together, windows = device_of(system), max(1, batch // samples), []
    walked = _rolled if isinstance(system.task, Ahead) else _walked
    for start in range(0, len(firsts), together):
        some = {key: part[start : start + together] for key, part in record.items()}
        own, parts = firsts[start : start + together], []
        most = max(1, batch // len(own))
        for first in range(0, samples, most):
            numbers = torch.arange(first, min(first + most, samples))
            # Answers are given to the windows in turn.
            index = ((own << 32) + numbers.unsqueeze(1)).flatten().to(device)
            rng = Streams(derive(seed, "series"), index)
            parts.append(walked(system, some, rng, sampler, grid).unflatten(0, (-1, len(own))))
        windows.append(torch.cat(parts).transpose(0, 1))
    return torch.cat(windows)


def impute(
    system: System,
    data: Any,
    out: Any = None,
    samples: int = 100,
    quantiles: Sequence[float] = (),
    seed: int = 0,
    sampler: Sampler | None = None,
    grid: Grid | int | None = None,
    **options: Any,
) -> Any:
    """The table of `data` with its missing cells filled by the mean of `samples` answers, and for
    each of the `quantiles` columns "NAME 0.05"; what is known is not touched.

    `data` is whatever `hush.data.series` reads, with its `options`, or a source that it made. A
    file is written to `out`, of pandas a frame is returned (see `hush.data.filled`). Raises
    `UserError` for data the model does not fit, and where nothing is missing.
    """
    source = data if isinstance(data, Windows) else series(data, **{"length": 1, **options})
    must_fill(system, source)
    answers = told(
        system, source, spans(source, system.task.shape[1]), samples, seed, sampler, grid
    )
    mean, shares = joined(source, answers, quantiles)
    return filled(source, mean, out, shares)


def joined(
    source: Windows, answers: Iterator[Told], quantiles: Sequence[float] = ()
) -> tuple[Whole, dict[float, Whole]]:
    """The mean of the answers at every stamp of the table, and their quantiles; NaN where nobody
    was asked."""
    for level in quantiles:
        if not 0.0 < level < 1.0:
            raise UserError(f"quantiles={level:g}: expected shares between 0 and 1, such as 0.05.")
    mean = torch.full_like(source.table.values, torch.nan)
    shares = {level: mean.clone() for level in quantiles}
    for answer in answers:
        some, asked = answer.asked.cpu(), answer.span.asked
        mean[:, asked] = some.double().mean(0).float()
        found = quantiles_of(some.unsqueeze(0), quantiles) if quantiles else ()
        for level, told_at in zip(quantiles, found, strict=True):
            shares[level][:, asked] = told_at[0]
    return mean, shares


def _parts(spans: Iterator[Span], size: int) -> Iterator[list[Span]]:
    part: list[Span] = []
    for span in spans:
        part.append(span)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def _walked(
    system: System,
    record: dict[str, Tensor],
    rng: Streams,
    sampler: Sampler | None,
    grid: Grid | int | None,
) -> Tensor:
    """An answer for each stream."""
    *_, last = system.walk(len(rng), record, sampler, grid, rng)
    return system.codec.decode(last.x, system.request(len(rng), record)[1])


def _rolled(
    system: System,
    record: dict[str, Tensor],
    rng: Streams,
    sampler: Sampler | None,
    grid: Grid | int | None,
) -> Tensor:
    """An answer for each stream, stamp by stamp: each is told what was drawn before it."""
    turn = torch.arange(len(rng)) % len(record[SERIES])
    path = {key: part[turn] for key, part in record.items()}
    hidden = path[SERIES].isnan()
    for stamp in hidden.any(1).any(0).nonzero().flatten().tolist():
        past = {key: part[..., : stamp + 1] if key in ALONG else part for key, part in path.items()}
        next_one = _walked(system, past, rng.branch(f"stamp {stamp}"), sampler, grid)[..., 0]
        told_at = torch.where(hidden[..., stamp], next_one.cpu(), path[SERIES][..., stamp])
        path[SERIES][..., stamp] = told_at
    return path[SERIES].to(rng.index.device)

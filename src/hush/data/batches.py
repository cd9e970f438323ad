"""Which record is read when: pure functions of (seed, position), and a pipeline reading ahead."""

from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import count as count_from

import torch
from jaxtyping import Int64
from torch import Tensor

from hush.data.parallel import readers
from hush.data.source import Source
from hush.data.words import cause
from hush.errors import UserError

WINDOW = 4  # blocks that are mixed at a time
_WORD = (1 << 64) - 1
_ORDER, _DRAW = 1, 2  # so that an epoch and a position never share a hash


def order(
    count: int, epoch: int, seed: int, blocks: tuple[int, ...] = ()
) -> Int64[Tensor, " count"]:
    """The order of the items in one epoch: a permutation, a pure function of its arguments.

    Where the items lie in `blocks` (`Source.blocks`), the blocks are shuffled and then `WINDOW`
    of them at a time mixed, item by item, so that a reader needs no more of them at once.
    """
    return _order(count, epoch, seed, blocks).clone()


@lru_cache(maxsize=2)  # the epoch being read, and the next
def _order(count: int, epoch: int, seed: int, blocks: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(_hash(_ORDER, seed, epoch))
    if not blocks:
        return torch.randperm(count, generator=generator)
    whole = torch.arange(count).split(blocks)
    shuffled = torch.randperm(len(blocks), generator=generator).tolist()
    mixed = []
    for start in range(0, len(blocks), WINDOW):
        items = torch.cat([whole[block] for block in shuffled[start : start + WINDOW]])
        mixed.append(items[torch.randperm(len(items), generator=generator)])
    return torch.cat(mixed)


def indices_at(
    first: int, last: int, count: int, seed: int, blocks: tuple[int, ...] = ()
) -> tuple[list[int], list[int]]:
    """(indices, draws) of positions `first` … `last` - 1: the items to read and their seeds.

    Positions count the samples of a run, along the endless row of epochs; a stretch of them may
    reach over an epoch's end, or hold several. A draw, the seed of an item's augmentation, is a
    64-bit hash of (seed, position): it never returns from one epoch to the next.
    """
    indices, position = [], first
    while position < last:
        epoch, place = divmod(position, count)
        part = _order(count, epoch, seed, blocks)[place : place + last - position].tolist()
        indices += part
        position += len(part)
    return indices, [_hash(_DRAW, seed, place) for place in range(first, last)]


def batches(
    source: Source,
    batch: int,
    seed: int = 0,
    start: int = 0,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
) -> Iterator[dict[str, Tensor]]:
    """The record batches of a run from position `start` on, without end, in a fixed order.

    `start` counts samples, so that a run goes on where it stood when its `batch` is changed. Of
    each batch only the share of process `rank` of `world` is read: its rank-th stretch of
    batch / world. Each record batch also has "index", int64 (share,): which records were asked
    for. `workers` threads read ahead, two batches each; what they hold does not depend on their
    number. Whatever goes wrong in reading is raised as a `UserError` at its own batch. Closing
    the iterator ends the threads. Raises `UserError` at once for an empty source, and for a
    batch or share that cannot be.
    """
    _check(source, batch, rank, world)
    share = batch // world

    def read(position: int) -> dict[str, Tensor]:
        first = position + rank * share
        indices, draws = indices_at(first, first + share, len(source), seed, source.blocks)
        try:
            return {**source.read(indices, draws), "index": torch.tensor(indices)}
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{source.name} cannot be read: {cause(error)} (samples {first:,} to "
                f"{first + share - 1:,} of the run); mend that and run again to go on."
            ) from error

    positions = count_from(start, batch)
    return _ahead(read, positions, workers) if workers > 0 else (read(p) for p in positions)


def _check(source: Source, batch: int, rank: int, world: int) -> None:
    if batch < 1:
        raise UserError(f"batch={batch}: expected at least 1.")
    if world < 1 or not 0 <= rank < world:
        raise UserError(f"rank={rank}, world={world}: expected a rank from 0 to world - 1.")
    if batch % world:
        raise UserError(
            f"batch={batch} cannot be shared by {world} processes; expected a multiple of {world}."
        )
    if len(source) < 1:
        raise UserError(f"{source.name} is empty; expected at least one record.")


def _ahead(
    read: Callable[[int], dict[str, Tensor]], positions: Iterator[int], workers: int
) -> Iterator[dict[str, Tensor]]:
    pool = readers(workers)
    try:
        waiting = deque(pool.submit(read, next(positions)) for _ in range(2 * workers))
        while True:
            record = waiting.popleft().result()
            waiting.append(pool.submit(read, next(positions)))
            yield record
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _hash(*words: int) -> int:
    """64 well-mixed bits of some integers (the finaliser of SplitMix64, Steele et al. 2014)."""
    state = 0
    for word in words:
        state = (state + word + 0x9E3779B97F4A7C15) & _WORD
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _WORD
        state ^= state >> 31
    return state

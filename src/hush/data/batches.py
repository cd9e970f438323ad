"""Which record is read when: pure functions of (seed, step), and the pipeline that reads ahead."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import count as count_from

import torch
from jaxtyping import Int64
from torch import Tensor

from hush.data.source import Source
from hush.errors import UserError

_WORD = (1 << 64) - 1
_ORDER, _DRAW = 1, 2  # so that an epoch and a position never share a hash


def order(count: int, epoch: int, seed: int) -> Int64[Tensor, " count"]:
    """The order of the items in one epoch: a permutation, a pure function of its arguments."""
    return _order(count, epoch, seed).clone()


@lru_cache(maxsize=8)
def _order(count: int, epoch: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(_hash(_ORDER, seed, epoch))
    return torch.randperm(count, generator=generator)


def indices_at(step: int, batch: int, count: int, seed: int) -> tuple[list[int], list[int]]:
    """(indices, draws) of training step `step`: the items to read and their augmentation seeds.

    The items lie at positions step·batch … of the endless row of epochs, so a batch may reach
    over an epoch's end, or hold several epochs. A draw is a 64-bit hash of (seed, position):
    it never returns from one epoch to the next.
    """
    indices, position, end = [], step * batch, (step + 1) * batch
    draws = [_hash(_DRAW, seed, place) for place in range(position, end)]
    while position < end:
        epoch, place = divmod(position, count)
        part = _order(count, epoch, seed)[place : place + end - position].tolist()
        indices += part
        position += len(part)
    return indices, draws


def batches(
    source: Source, batch: int, seed: int = 0, start: int = 0, workers: int = 0
) -> Iterator[dict[str, Tensor]]:
    """The record batches of steps `start`, `start` + 1, … without end, in a fixed order.

    Each also has "index", int64 (batch,): which records were asked for. `workers` threads read
    ahead, two batches each; what they hold does not depend on their number. An error in reading
    is raised at its own step. Closing the iterator ends its threads. Raises `UserError` at once
    for an empty source or a batch that is not positive.
    """
    if batch < 1:
        raise UserError(f"batch={batch}: expected at least 1.")
    if len(source) < 1:
        raise UserError(f"{source.name} is empty; expected at least one record.")

    def read(step: int) -> dict[str, Tensor]:
        indices, draws = indices_at(step, batch, len(source), seed)
        return {**source.read(indices, draws), "index": torch.tensor(indices)}

    steps = count_from(start)
    return _ahead(read, steps, workers) if workers > 0 else (read(step) for step in steps)


def _ahead(
    read: Callable[[int], dict[str, Tensor]], steps: Iterator[int], workers: int
) -> Iterator[dict[str, Tensor]]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="hush-read")
    try:
        waiting = deque(pool.submit(read, next(steps)) for _ in range(2 * workers))
        while True:
            record = waiting.popleft().result()
            waiting.append(pool.submit(read, next(steps)))
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

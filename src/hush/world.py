"""The processes that work on one thing together, started by torchrun or what sets its environment.

A process is its `rank` of `size`. Alone (size 1) every word here costs nothing.
"""

import ctypes
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from itertools import count as count_from
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from hush.errors import Elsewhere, UserError

Result = TypeVar("Result")
PATIENCE = timedelta(hours=2)  # the others wait this long for one that reads a slow disk
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def device_of(rank: int) -> torch.device:
    """The accelerator of the process that is `rank` on its machine; the CPU where there is none."""
    if not torch.accelerator.is_available():
        return torch.device("cpu")
    kind = torch.accelerator.current_accelerator().type
    return torch.device(kind, rank % torch.accelerator.device_count())


@dataclass(frozen=True)
class World:
    """How many processes there are, which of them this is, and where it computes."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: device_of(0))

    @property
    def main(self) -> bool:
        """Whether this is the process that speaks to the user and owns the run's folder."""
        return self.rank == 0

    def __str__(self) -> str:
        return f"{self.device.type}" + (f", {self.size} processes" if self.size > 1 else "")

    def share(self, count: int) -> range:
        """This process's part of 0 … count - 1: the parts are contiguous, in the order of ranks,
        and as long as each other but for the last, which may be shorter or empty."""
        turn = self.turn(count)
        return range(min(count, turn.start), min(count, turn.stop))

    def turn(self, count: int) -> range:
        """`share`, as long on every process, the last ones' reaching beyond the end: for what all
        must do equally often, as the forward of a sharded network."""
        each = -(-count // self.size)
        return range(self.rank * each, (self.rank + 1) * each)

    def most(self, number: int) -> int:
        """The largest of the numbers that the processes bring; the device does not wait."""
        if self.size == 1:
            return number
        given = torch.tensor(number)
        dist.all_reduce(given, dist.ReduceOp.MAX)
        return int(given)

    def summed(self, tensor: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def rows(self, tensor: Tensor) -> Tensor:
        """The rows of all processes, in the order of ranks; each brings as many."""
        if self.size == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    def alike(self, module: nn.Module) -> None:
        """Give every process the main one's parameters and buffers."""
        if self.size > 1:
            for tensor in (*module.parameters(), *module.buffers()):
                dist.broadcast(tensor.detach(), 0)

    def first(self, function: Callable[[], Result]) -> Result:
        """What `function` returns, or the `UserError` it raises, on the main process, for all."""
        if self.size == 1:
            return function()
        answer: list = [None, None]
        if self.main:
            try:
                answer[0] = function()
            except UserError as error:
                answer[1] = str(error)
        dist.broadcast_object_list(answer, 0)
        if answer[1] is not None:
            raise (UserError if self.main else Elsewhere)(answer[1])
        return answer[0]

    def wait(self) -> None:
        """Until every process is here."""
        self.most(0)


_JOINS = count_from()


@cache
def _meeting_place() -> dist.Store:
    """Where the processes leave word for each other, as long as they live."""
    store, _, _ = next(rendezvous("env://", timeout=PATIENCE))
    return store


def _attempt() -> str:
    """A name for what is left at the meeting place: there may still be the addresses of processes
    that torchrun has since started again. On several machines only
    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 clears them away, for each counts its own restarts."""
    alone = os.environ.get("GROUP_WORLD_SIZE", "1") == "1"
    return "hush/" + (os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") if alone else "0")


def keep_blocks() -> None:
    """Have this process keep the memory of large tensors for the next ones, which otherwise begin
    on fresh pages that the system must clear each time. Of Linux' glibc; elsewhere as it was."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)


@contextmanager
def joined() -> Iterator[World]:
    """This process among those it was started with (RANK, WORLD_SIZE and LOCAL_RANK of the
    environment); the group it joins is left at the end, unless it was joined before."""
    rank, size, local = (
        int(os.environ.get(name, default))
        for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    device = device_of(local)
    if device.type == "cpu":
        keep_blocks()
    if size == 1:
        yield World(device=device)
        return
    ours = not dist.is_initialized()
    if ours:
        if device.type != "cpu":
            torch.accelerator.set_device_index(device.index)
        backend = dist.get_default_backend_for_device(device)
        both = backend if device.type == "cpu" else f"cpu:gloo,{device.type}:{backend}"
        store = dist.PrefixStore(f"{_attempt()}/{next(_JOINS)}", _meeting_place())
        dist.init_process_group(both, timeout=PATIENCE, world_size=size, rank=rank, store=store)
        store.set(f"joined/{rank}", "")  # who left now would break off what others still begin
        store.wait([f"joined/{other}" for other in range(size)], PATIENCE)
    try:
        yield World(rank, size, device)
    except BaseException as error:
        # What an error keeps alive must not be the last to hold the group: see `train`.
        traceback.clear_frames(error.__traceback__)
        raise
    finally:
        if ours:
            dist.destroy_process_group()

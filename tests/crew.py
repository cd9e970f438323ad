"""Processes that work on one thing together, for tests: what torchrun starts, but forked from a
server that has torch already, so that a crew is there in a tenth of a second."""

import faulthandler
import multiprocessing
import os
import sys
import traceback

import torch
from torch.distributed import TCPStore

from hush.errors import UserError

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["pytest", "sklearn.datasets", "torch._dynamo", "hush.training.loop", "hush.systems.ddpm"]
)


class Crew:
    """`size` processes that all run `work(*args)`; those that hang end after `patience` seconds,
    and say where they were."""

    def __init__(self, size, work, *args, patience=60.0):
        self._store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        self._ends, self.processes = [], []
        for rank in range(size):
            end, theirs = FORKS.Pipe(duplex=False)
            told = (theirs, rank, size, self._store.port, patience, work, args)
            self.processes.append(FORKS.Process(target=_run, args=told))
            self.processes[-1].start()
            theirs.close()
            self._ends.append(end)

    def results(self):
        """What `work` returned in each process, in the order of ranks: an error of a user as such.
        Fails where a process raised anything else, or died."""
        found = [_received(end, rank) for rank, end in enumerate(self._ends)]
        for process in self.processes:
            process.join()
        strange = [error for error in found if isinstance(error, _Strange)]
        assert not strange, "\n".join(map(str, strange))
        return found


class _Strange(Exception):
    """What no user should see."""


def together(size, work, *args):
    """What `work(*args)` returns in each of `size` processes."""
    return Crew(size, work, *args).results()


def _received(end, rank):
    try:
        return end.recv()
    except EOFError:
        return _Strange(f"Process {rank} died or hung.")


def _run(end, rank, size, port, patience, work, args):
    faulthandler.dump_traceback_later(patience, exit=True, file=sys.__stderr__)
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(size), LOCAL_RANK=str(rank))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "True"  # the test's process keeps the store
    torch.set_num_threads(1)
    try:
        end.send(work(*args))
    except UserError as error:
        end.send(error)
    except BaseException:
        end.send(_Strange(f"Process {rank}: {traceback.format_exc()}"))

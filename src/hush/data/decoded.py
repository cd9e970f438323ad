"""Pictures that were decoded once, kept for the next epoch."""

import errno
import mmap
import os
import shutil
import tempfile
import threading
import weakref
from math import prod
from typing import Any

import numpy as np

from hush.data.decode import unit


class Decoded:
    """Decoded pictures by number, in a temporary file that is mapped into memory.

    There are `count` places for pictures of one `shape` and type: uint8, or float32 in [0, 1].
    The file has no name, so nobody meets an old one and a killed process leaves none. Where all
    the pictures together do not fit (`fits`), or as soon as the disk is full, nothing is kept.

    A mapping is only ever read: a write to a mapped page that the disk has no room for would end
    the process, while one through the file is an error that can be caught. For the same reason
    the file is never cut short. A copy of this is another one, and empty.
    """

    def __init__(self, count: int, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        self._made_of = (count, shape, dtype)
        self._dtype = np.dtype(dtype)
        self._there = np.zeros(count, bool)
        self._rows: np.ndarray | None = None
        self._writing = threading.Lock()
        size = count * prod(shape) * self._dtype.itemsize
        try:
            if size and fits(size):
                self._file = tempfile.TemporaryFile(prefix="hush-")  # noqa: SIM115 - see below
                weakref.finalize(self, self._file.close)
                self._file.truncate(size)
                mapped = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ)
                self._rows = np.frombuffer(mapped, self._dtype).reshape(count, *shape)
        except OSError:
            pass  # without it every epoch is decoded

    def __reduce__(self) -> tuple[type["Decoded"], tuple[Any, ...]]:
        return Decoded, self._made_of

    def get(self, place: int) -> np.ndarray | None:
        """The picture that was kept there; None when there is none."""
        rows = self._rows  # another thread may let go of it
        return None if rows is None or not self._there[place] else rows[place]

    def keep(self, place: int, picture: np.ndarray) -> None:
        """Keep a picture there: 8-bit numbers, or float32 in [0, 1], which is not kept where only
        8-bit ones are expected."""
        if picture.dtype != self._dtype and self._dtype == np.float32:
            picture = unit(picture, np.empty(picture.shape, np.float32))
        if picture.dtype != self._dtype:
            return
        with self._writing:
            if self._rows is None or self._there[place]:
                return
            try:
                written = os.pwrite(self._file.fileno(), picture.data, place * picture.nbytes)
                if written < picture.nbytes:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._there[place] = True
            except OSError:
                # Whoever reads a picture of it just now still holds the mapping; with the last of
                # them the disk has its room back.
                self._rows = None
                self._file.close()


def fits(size: int) -> bool:
    """Whether so many bytes may be kept: no more than half of what is free in the temporary
    folder, nor than half of the memory, the processes of a run on this machine together."""
    if os.name != "posix":
        return False
    together = size * int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 2 * together <= min(shutil.disk_usage(tempfile.gettempdir()).free, memory)

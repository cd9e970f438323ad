"""Opening a file that a person named, which may be anything."""

import errno
import os
import stat
from typing import BinaryIO


def plain(path: str) -> BinaryIO:
    """A plain file, open for reading; raises `OSError` for anything else, and never waits.

    A pipe would keep its reader until somebody writes to it, a device for ever.
    """
    file = open(path, "rb", opener=_at_once)  # noqa: SIM115 - the caller closes it
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "It is no plain file", path)


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))

"""Files to read stretches of, wherever they lie, and the shelf on disk where remote ones wait.

A stray picture of a remote file is asked for by its range alone; a file that is read on and on
is brought to the shelf whole, once, since one long request is many times faster than many short.
"""

import os
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from hashlib import sha256
from typing import BinaryIO

from hush.data.plain import plain
from hush.data.remote import Remote, Stamp
from hush.data.words import cause, shown
from hush.errors import UserError

LIMIT = 16 << 30  # bytes on the shelf, beside what is just being brought
STRAYS = 8  # of a file, one stretch in so many is read by range before the whole is brought
_PARTIAL = ".part"  # of a file that is being brought
_ABANDONED = 86400.0  # seconds after which nobody is bringing it any more


def cache_folder(*parts: str) -> str:
    """A folder for what can be had again: $XDG_CACHE_HOME/hush/…, else ~/.cache/hush/…"""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(root, "hush", *parts)


class Stretches(ABC):
    """A file that stretches are read from."""

    name: str
    """What to call it in a message."""
    place: str
    """Its full path or address."""
    stamp: Stamp

    @abstractmethod
    def whole(self) -> BinaryIO:
        """The file, open for reading. The caller closes it."""

    def read(self, start: int, size: int, share: float) -> bytes:
        """`size` bytes from `start` on, which are the `share` of the file that is ever read."""
        with self.whole() as file:
            file.seek(start)
            return file.read(size)


class LocalFile(Stretches):
    """A file on this machine; raises `UserError` once it is no longer the one first met."""

    def __init__(self, path: str) -> None:
        self.path, self.name, self.place = path, shown(path), os.path.abspath(path)
        with self._opened() as file:
            self.stamp = _stamp(file)

    def whole(self) -> BinaryIO:
        file = self._opened()
        if _stamp(file) == self.stamp:
            return file
        file.close()
        raise UserError(f"{self.name} has changed since it was opened; start again.")

    def _opened(self) -> BinaryIO:
        try:
            return plain(self.path)
        except OSError as error:
            raise UserError(f"{self.name} cannot be read: {cause(error)}.") from error


class RemoteFile(Stretches):
    """A file elsewhere, read by range or, where much of it is wanted, from the shelf."""

    def __init__(self, remote: Remote) -> None:
        self.remote, self.name, self.place = remote, shown(remote.url), remote.url
        self.stamp = remote.stamp()
        # Without size and tag a later session could not tell whether the file is still the same.
        session = "" if self.stamp.tag or self.stamp.size else str(os.getpid())
        self.path = cache_folder("shards", keyed(remote.url, self.stamp, session) + ".tar")
        self._strays: set[int] = set()

    def read(self, start: int, size: int, share: float) -> bytes:
        if not os.path.exists(self.path):
            self._strays.add(start)
            if len(self._strays) * share <= 1 / STRAYS:
                part = self.remote.part(start, start + size)
                if part is not None:
                    return part
        return super().read(start, size, share)

    def whole(self) -> BinaryIO:
        while True:  # another process may clear the shelf between the two lines
            try:
                file = plain(self.path)
            except FileNotFoundError:
                self._bring()
                continue
            os.utime(file.fileno())
            return file

    def _bring(self) -> None:
        from filelock import FileLock

        partial = self.path + _PARTIAL
        try:
            for folder in (cache_folder("shards"), cache_folder("locks")):
                os.makedirs(folder, exist_ok=True)
            # One process or thread brings it, the others wait.
            with FileLock(cache_folder("locks", os.path.basename(self.path))):
                if os.path.exists(self.path):
                    return
                _make_room(cache_folder("shards"), self.stamp.size or 0)
                self.remote.fetch(partial)
                if self.stamp.size not in (None, os.path.getsize(partial)):
                    raise UserError(
                        f"{self.name} is {os.path.getsize(partial):,} bytes long now, and was "
                        f"{self.stamp.size:,} when it was opened; start again."
                    )
                os.replace(partial, self.path)
        except OSError as error:
            raise UserError(
                f"{self.name} cannot be brought to {shown(self.path)}: {cause(error)}; "
                "XDG_CACHE_HOME names another place."
            ) from error


def keyed(*words: object) -> str:
    """A file name made of some values: the same for the same, another for others."""
    return sha256(repr(words).encode("utf-8", "surrogateescape")).hexdigest()[:40]


def _stamp(file: BinaryIO) -> Stamp:
    facts = os.fstat(file.fileno())
    return Stamp(facts.st_size, f"{facts.st_mtime_ns} {facts.st_ino}")


def _make_room(folder: str, size: int) -> None:
    """Drop the files used longest ago until one of `size` bytes fits the shelf."""
    held = []
    for entry in os.scandir(folder):
        with suppress(FileNotFoundError):  # another process clears the shelf too
            held.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
    for touched, length, path in sorted(held, reverse=True):
        size += length
        arriving = path.endswith(_PARTIAL) and touched > time.time() - _ABANDONED
        if size > LIMIT and not arriving:
            with suppress(FileNotFoundError):
                os.unlink(path)

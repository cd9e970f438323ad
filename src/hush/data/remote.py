"""Files that lie elsewhere: what is known of one, a stretch of it, and the whole of it.

https is spoken by the standard library; every other address (s3://, gs://, hf://, memory:// …)
by fsspec and the package it names.
"""

import http.client
import shutil
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from hush.data.words import cause, shown
from hush.errors import UserError

Result = TypeVar("Result")
PAUSES = (0.5, 2.0)  # seconds before a second and a third try
_TIMEOUT = 60.0
_TAGS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")


@dataclass(frozen=True)
class Stamp:
    """What changes when a file does."""

    size: int | None
    """Bytes, where known."""
    tag: str = ""
    """The server's mark of this version, or the time of the last change; "" when unknown."""


class Remote(ABC):
    """A file at `url`. Its methods raise `UserError` naming the address and the reason."""

    def __init__(self, url: str) -> None:
        self.url = url

    def stamp(self) -> Stamp:
        return self._patiently(self._stamp)

    def part(self, start: int, end: int) -> bytes | None:
        """The bytes `start` … `end` - 1; None where only the whole file can be had."""
        return self._patiently(lambda: self._part(start, end))

    def fetch(self, path: str) -> None:
        """Write the whole file to the local `path`."""
        self._patiently(lambda: self._fetch(path))

    def _patiently(self, action: Callable[[], Result]) -> Result:
        """The action, tried again after short pauses where the line, not the file, is at fault."""
        for pause in (*PAUSES, None):
            try:
                return action()
            except UserError:
                raise
            except Exception as error:  # each file system has its own
                if pause is None or not _passing(error):
                    raise UserError(f"{shown(self.url)} cannot be read: {cause(error)}.") from error
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    @abstractmethod
    def _stamp(self) -> Stamp: ...

    @abstractmethod
    def _part(self, start: int, end: int) -> bytes | None: ...

    @abstractmethod
    def _fetch(self, path: str) -> None: ...


def remote(url: str) -> Remote:
    """The file at an address. Raises `UserError` for one that nothing here can speak to."""
    return Http(url) if is_http(url) else Fsspec(url)


def is_http(url: str) -> bool:
    return url.startswith(("http://", "https://"))


class Http(Remote):
    """A file on the web."""

    _tag = ""

    def _stamp(self) -> Stamp:
        # One byte is asked for, not the head alone: addresses signed for reading refuse HEAD.
        with self._asked("bytes=0-0") as answer:
            heads = answer.headers
            whole = heads.get("Content-Range", "").rpartition("/")[2]
            size = whole if answer.status == 206 else heads.get("Content-Length", "")
            self._tag = _tag(answer)
            return Stamp(int(size) if size.isdigit() else None, self._tag)

    def _part(self, start: int, end: int) -> bytes | None:
        with self._same(f"bytes={start}-{end - 1}") as answer:
            return answer.read() if answer.status == 206 else None

    def _fetch(self, path: str) -> None:
        with self._same() as answer, open(path, "wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
            if answer.length:  # what was promised and did not come
                raise ConnectionError(f"the line broke {answer.length:,} bytes before the end")

    def _same(self, stretch: str | None = None) -> Any:
        """The answer, if it is of the version that was stamped."""
        answer = self._asked(stretch)
        if self._tag and _tag(answer) != self._tag:
            answer.close()
            raise UserError(f"{shown(self.url)} has changed since it was opened; start again.")
        return answer

    def _asked(self, stretch: str | None = None) -> Any:
        heads = {"User-Agent": "hush"} | ({"Range": stretch} if stretch else {})
        request = urllib.request.Request(self.url, headers=heads)
        return urllib.request.urlopen(request, timeout=_TIMEOUT)


class Fsspec(Remote):
    """A file of any file system that fsspec knows."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.files, self.path = file_system(url)

    def _stamp(self) -> Stamp:
        info = self.files.info(self.path)
        tag = next((str(info[key]) for key in _TAGS if info.get(key)), "")
        return Stamp(info.get("size"), tag)

    def _part(self, start: int, end: int) -> bytes | None:
        held = self.files.cat_file(self.path, start=start, end=end)
        return held if len(held) == end - start else None

    def _fetch(self, path: str) -> None:
        self.files.get_file(self.path, path)


def file_system(url: str) -> tuple[Any, str]:
    """fsspec's file system of an address, and the path there."""
    from fsspec.core import url_to_fs

    try:
        return url_to_fs(url)
    except Exception as error:
        raise UserError(f"{shown(url)} cannot be reached: {cause(error)}.") from error


def _tag(answer: Any) -> str:
    return answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""


def _passing(error: Exception) -> bool:
    """Whether it may go well in a moment: a busy server, a line that broke."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code == 429 or error.code >= 500
    passing = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)
    return isinstance(error, passing)

"""Files that are never half there: written aside, flushed to the disk, then put in place."""

import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from hush.errors import UserError


def write(path: Path, fill: Callable[[Path], None]) -> None:
    """Write a file or folder aside, flush it to the disk, and put it in place in one motion."""
    with writing(path):
        new = aside(path)
        remove(new)
        new.parent.mkdir(parents=True, exist_ok=True)
        fill(new)
        publish(path)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around what writes `path`: what goes wrong leaves nothing half there and is told."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        with suppress(OSError):  # in one motion: other processes see by it that they wait in vain
            remove(aside(path).rename(aside(path.with_name(f"{path.name}.failed"))))
        raise UserError(
            f"{path} could not be written ({error}). Everything saved before is still there: make "
            "room or choose another --out, and run the same command again to go on."
        ) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Around what reads `path`: what goes wrong is told."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}). Nothing was changed: mend that, and run the same "
            "command again to go on."
        ) from error


def aside(path: Path) -> Path:
    """Where a file or folder grows before it is put in place."""
    return path.with_name(f".{path.name}.partial")


def publish(path: Path) -> None:
    """Put what has grown aside in place."""
    new = aside(path)
    for file in [*(new.iterdir() if new.is_dir() else ()), new]:
        flush(file)
    os.replace(new, path)
    remove(new)  # it stays where both are names of one file already
    flush(path.parent)


def flush(path: Path) -> None:
    """Wait until a file or folder is on the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Take a file or a folder away, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def drop(path: Path) -> None:
    """Take a file or a folder away in one motion: who dies meanwhile leaves only a `.partial`."""
    os.replace(path, aside(path))
    remove(aside(path))


def link(source: Path, target: Path) -> None:
    """The same bytes under a second name, where the disk can do that; else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def checksum(path: Path) -> int:
    """CRC-32 of a file."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            value = zlib.crc32(block, value)
    return value

"""Bounds on what a page is given: uploads by size, kind and pixels, and runs inside one folder."""

import os
import re
from pathlib import Path

from hush.data.atomic import PARQUET
from hush.data.cells import ENDING
from hush.data.decode import ENDINGS, header
from hush.data.words import shown
from hush.errors import UserError

BYTES = 16 * 2**20  # of an upload, at most
PIXELS = 2**22  # of a picture, at most
RECORD = "system.json"
DEEP = 3  # folders below the first that runs are looked for in
NAME = re.compile(r"[\w][\w. -]{0,79}")


def must_be_small(file: Path) -> None:
    """Raise `UserError` for a file of more than 16 MiB."""
    size = file.stat().st_size
    if size > BYTES:
        raise UserError(
            f"{shown(file.name)} has {size / 2**20:.1f} MiB, and the page takes files of at most "
            f"{BYTES // 2**20} MiB: use the command line for larger ones."
        )


def picture(path: str | os.PathLike[str]) -> Path:
    """An upload that is a picture of at most 4 million pixels; only its head is read. Raises
    `UserError` for anything else."""
    file = Path(path)
    _must_end(file, ENDINGS, "a picture, such as .png or .jpg")
    must_be_small(file)
    height, width = header(str(file), shown(file.name)).size
    if height * width > PIXELS:
        raise UserError(
            f"{shown(file.name)} is {width:,} x {height:,} pixels, and the page takes at most "
            f"{PIXELS / 1e6:.1f} million: use the command line for larger ones."
        )
    return file


def table(path: str | os.PathLike[str]) -> Path:
    """An upload that is a file of series by its ending and size. Raises `UserError` otherwise."""
    file = Path(path)
    _must_end(file, (ENDING, *PARQUET), "a table of series, .csv or .parquet")
    must_be_small(file)
    return file


def _must_end(file: Path, endings: tuple[str, ...], what: str) -> None:
    if not file.name.lower().endswith(endings):
        raise UserError(f"{shown(file.name)} does not end as {what}: choose another file.")


class Runs:
    """The runs in a folder, or the one run that it is. No name leads out of it."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).resolve()
        self.shown = Path(root)
        self.single = (self.root / RECORD).is_file()

    def names(self) -> list[str]:
        """The names of all runs, those in which something changed last first."""
        if self.single:
            return [self.root.name]
        found = sorted(self._below(self.root, DEEP), key=_changed, reverse=True)
        return [str(path.relative_to(self.root)) for path in found]

    def path(self, name: str) -> Path:
        """The folder of a run. Raises `UserError` for a name that leads elsewhere or to no run."""
        path = self.folder(name)
        if not (path / RECORD).is_file():
            raise UserError(f"There is no run {shown(name)} in {shown(self.shown)}.")
        return path

    def new(self, name: str) -> Path:
        """The folder that a new run of that name gets, or that an old one goes on in. Raises
        `UserError` for a name that is none, and where the page has one run and no folder."""
        if self.single:
            raise UserError(
                f"The page was opened on the run {shown(self.root.name)} alone: to train others, "
                "open it on a folder of runs, `hush app FOLDER`."
            )
        if not NAME.fullmatch(name):
            raise UserError(
                f"A run cannot be called {shown(name)!r}: use letters, digits, dots, dashes."
            )
        return self.folder(name)

    def folder(self, name: str) -> Path:
        """The folder that a name means, whether there is a run in it yet or not. Raises `UserError`
        for one that leads elsewhere."""
        if self.single and name == self.root.name:
            return self.root
        path = (self.root / name).resolve()
        if path == self.root or not path.is_relative_to(self.root):
            raise UserError(f"{shown(name)} is outside of {shown(self.shown)}: choose a run in it.")
        return path

    def _below(self, folder: Path, deep: int) -> list[Path]:
        found = []
        for entry in _folders(folder):
            if (entry / RECORD).is_file():
                found.append(entry)
            elif deep > 1:
                found += self._below(entry, deep - 1)
        return found


def _folders(folder: Path) -> list[Path]:
    """Folders in a folder, none that is hidden and no links, which lead anywhere."""
    try:
        entries = [
            Path(entry) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)
        ]
    except OSError:
        return []
    return [entry for entry in entries if not entry.name.startswith(".")]


def _changed(run: Path) -> float:
    """When a run last changed: checkpoints are put into its folder in one motion."""
    return run.stat().st_mtime

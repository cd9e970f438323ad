"""Pictures with a caption each."""

import csv
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from hush.data.encoded import EncodedPictures
from hush.data.images import folder
from hush.data.options import PictureOptions
from hush.data.source import Source, checksum
from hush.data.words import cause, shown
from hush.errors import UserError

TABLE = "captions.csv"
COLUMNS = ("picture", "caption")


def captioned(path: str | os.PathLike[str], options: PictureOptions | None = None) -> "Captioned":
    """The pictures of a folder with the captions of its captions.csv, whose columns are "picture",
    a path within the folder, and "caption"; or where there is none, with the names of the
    subfolders that they lie in. Raises `UserError` for pictures without a caption."""
    source = folder(path, replace(options or PictureOptions(), labels=False))
    table = Path(os.path.expanduser(path)) / TABLE
    names = source.names()
    told = _told(table) if table.is_file() else {name: os.path.dirname(name) for name in names}
    without = [name for name in names if not told.get(name)]
    if without:
        raise UserError(
            f"{shown(without[0])} has no caption, and so with {len(without):,} of the pictures of "
            f"{source.name}: give each a row of {TABLE} there, with the columns "
            f"{', '.join(COLUMNS)}, or put it into a subfolder whose name says what it shows."
        )
    return Captioned(source, [told[name] for name in names])


class Captioned(Source):
    """A source, its records as they are, and the `captions` of its pictures in their order."""

    def __init__(self, source: EncodedPictures, captions: Sequence[str]) -> None:
        self.source, self.captions = source, tuple(captions)
        self.name, self.shape, self.levels = source.name, source.shape, source.levels
        self.notes = (*source.notes, f"{len(set(captions)):,} different captions")

    def __len__(self) -> int:
        return len(self.source)

    def read(self, indices: Sequence[int], draws: Sequence[int] | None = None) -> dict[str, Tensor]:
        return self.source.read(indices, draws)

    def digest(self) -> str:
        return checksum(self.source.digest(), *self.captions)


def _told(table: Path) -> dict[str, str]:
    """{picture: caption} of a table."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            columns = rows.fieldnames or []
            if not set(COLUMNS) <= set(columns):
                raise UserError(
                    f"{shown(table)} has the columns {', '.join(columns) or 'none'}; expected "
                    f"{' and '.join(COLUMNS)}."
                )
            return {os.path.normpath(row["picture"] or ""): row["caption"] or "" for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{shown(table)} cannot be read: {cause(error)}.") from error

"""Pictures in the rows of a table: Parquet files, data sets of the hub."""

import glob
import io
import os
from collections.abc import Sequence
from typing import Any, Literal

from hush.data.columns import classes, picture_column
from hush.data.decode import BrokenPicture
from hush.data.encoded import EncodedPictures
from hush.data.images import walk
from hush.data.options import Crop, PictureOptions
from hush.data.store import Store
from hush.data.words import cause, shown
from hush.errors import UserError, nearest

ENDING = ".parquet"


def table(
    name_or_path: str | os.PathLike[str],
    column: str | None = None,
    label: str | None = None,
    split: str | None = None,
    size: int | tuple[int, int] | None = None,
    channels: Literal[1, 3, 4] | None = None,
    crop: Crop = "centre",
    flip: bool = False,
    background: float = 1.0,
    skip_broken: bool = False,
    labels: bool | None = None,
) -> EncodedPictures:
    """The pictures of Parquet files (a path, a pattern, a folder), or of a data set of the
    Hugging Face hub ("user/name").

    `column` holds the pictures and `label` the classes; both are found by type and name when
    left out. `split` is the part of a hub data set, "train" by default. The other arguments are
    those of `PictureOptions`. Raises `UserError` naming what was tried.
    """
    options = PictureOptions(
        size=size,
        channels=channels,
        crop=crop,
        flip=flip,
        background=background,
        labels=labels,
        skip_broken=skip_broken,
    )
    return rows(os.fspath(name_or_path), options, column, label, split)


def rows(
    name: str,
    options: PictureOptions,
    column: str | None = None,
    label: str | None = None,
    split: str | None = None,
) -> EncodedPictures:
    """`table`, with the picture options as one value."""
    files = table_files(name)
    data = _from_files(name, files) if files else _from_hub(name, split)
    if len(data) == 0:
        raise UserError(f"{shown(name)} has no rows; expected at least one picture.")
    column = picture_column(name, data.features, column)
    found, names = classes(name, data, label, options.labels)
    return EncodedPictures(shown(name), Rows(shown(name), data, column), options, found, names)


class Rows(Store):
    """The store of a table: the encoded bytes of one column."""

    def __init__(self, label: str, data: Any, column: str) -> None:
        import datasets

        if isinstance(data.features[column], datasets.Image):
            # The bytes as they are: depth, orientation and errors are decode.py's to judge.
            data = data.cast_column(column, datasets.Image(decode=False))
        self.label, self.data, self.column = label, data.select_columns([column]), column

    def __len__(self) -> int:
        return len(self.data)

    def open(self, item: int) -> str | io.BytesIO:
        try:
            cell = self.data[item][self.column]
        except Exception as error:  # pyarrow has its own
            raise BrokenPicture(self.name(item), cause(error)) from error
        if isinstance(cell, dict):
            cell = cell.get("bytes") or cell.get("path")
        if cell is None:
            raise BrokenPicture(self.name(item), f"its column {shown(self.column)} is empty")
        return io.BytesIO(cell) if isinstance(cell, bytes) else str(cell)

    def name(self, item: int) -> str:
        return f"{self.label} row {item}"

    def key(self, item: int) -> str:
        return self.name(item)

    def words(self, items: Sequence[int]) -> list[str]:
        return [str(self.data.data.nbytes), *map(str, items)]


def table_files(name: str) -> list[str]:
    """The Parquet files that a path, folder or pattern names, sorted; [] for a hub name.

    Raises `UserError` when a path or pattern leads to none, or to a file of another kind.
    """
    path = os.path.expanduser(name)
    if os.path.isdir(path):
        files = [os.path.join(path, file) for file in walk(path)]
        files = [file for file in files if file.endswith(ENDING)]
    elif os.path.exists(path):
        files = [path]
    elif glob.has_magic(path):
        files = glob.glob(path, recursive=True)
    elif path.endswith(ENDING):
        raise UserError(f"{shown(path)} does not exist; expected a .parquet file.")
    else:
        return []
    others = sorted({os.path.splitext(file)[1] for file in files} - {ENDING})
    if others or not files:
        found = ", ".join(shown(kind) or "no ending" for kind in others) or "no file"
        raise UserError(
            f"{shown(path)}: expected .parquet files and no others; found {found}; name the files, "
            "such as 'tables/*.parquet'."
        )
    return sorted(files)


def _from_files(name: str, files: list[str]) -> Any:
    import datasets

    # `datasets` reads a path as a pattern, so what looks like one must be escaped.
    paths = [glob.escape(os.path.abspath(file)) for file in files]
    try:
        return datasets.load_dataset("parquet", data_files={"train": paths}, split="train")
    except Exception as error:  # pyarrow and datasets each have their own
        raise UserError(
            f"{shown(name)} cannot be read as parquet ({len(files):,} files): {cause(error)}; "
            "check that the files are whole and of one layout."
        ) from error


def _from_hub(name: str, split: str | None) -> Any:
    import datasets

    try:
        parts = datasets.load_dataset(name)
    except Exception as error:  # offline, unknown, private, gated, without pictures …
        raise UserError(
            f"{name} is no file or folder here, and the Hugging Face hub gave no data set of that "
            f"name: {cause(error)}; check the name, the connection and, for a private data set, "
            "HF_TOKEN."
        ) from error
    if split is not None and split not in parts:
        raise UserError(f"split={split}: {name} has no such part; {nearest(split, parts)}")
    return parts[split or ("train" if "train" in parts else next(iter(parts)))]

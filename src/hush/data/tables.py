"""Pictures in the rows of a table: Parquet files, WebDataset shards, data sets of the hub."""

import glob
import io
import os
from collections.abc import Iterable
from typing import Any, Literal

from hush.data.decode import BrokenPicture
from hush.data.encoded import EncodedPictures
from hush.data.images import shown, walk
from hush.data.options import Crop, PictureOptions
from hush.errors import UserError, nearest

KINDS = {".parquet": "parquet", ".tar": "webdataset"}  # file ending -> loader of `datasets`
_PICTURE_COLUMNS = ("image", "img", "picture")
_LABEL_COLUMNS = ("label", "labels", "cls", "class")


def table(
    name_or_path: str | os.PathLike,
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
    """The pictures of Parquet files or WebDataset shards (a path, a pattern, a folder), or of a
    data set of the Hugging Face hub ("user/name").

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
    column = _picture_column(name, data.features, column)
    found, classes = _classes(name, data, label, options.labels)
    return EncodedPictures(shown(name), Rows(shown(name), data, column), options, found, classes)


class Rows:
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
        cell = self.data[item][self.column]
        if isinstance(cell, dict):
            cell = cell.get("bytes") or cell.get("path")
        if cell is None:
            raise BrokenPicture(self.name(item), f"its column {self.column} is empty")
        return cell if isinstance(cell, str) else io.BytesIO(cell)

    def name(self, item: int) -> str:
        return f"{self.label} row {item}"

    def key(self, item: int) -> str:
        return self.name(item)


def table_files(name: str) -> list[str]:
    """The Parquet files or shards that a path, folder or pattern names, sorted; [] for a hub name.

    Raises `UserError` when a path or pattern leads to none, or to both kinds.
    """
    path = os.path.expanduser(name)
    if os.path.isdir(path):
        files = [os.path.join(path, file) for file in walk(path)]
        files = [file for file in files if file.endswith(tuple(KINDS))]
    elif os.path.exists(path):
        files = [path]
    elif glob.has_magic(path):
        files = glob.glob(path, recursive=True)
    elif path.endswith(tuple(KINDS)):
        raise UserError(f"{shown(path)} does not exist; expected a .parquet or .tar file.")
    else:
        return []
    kinds = {os.path.splitext(file)[1] for file in files}
    if len(kinds) != 1 or not kinds <= KINDS.keys():
        found = ", ".join(sorted(shown(kind) or "no ending" for kind in kinds)) or "no file"
        raise UserError(
            f"{shown(path)}: expected .parquet files or .tar shards, all of one kind; found "
            f"{found}; name the files, such as 'shards/*.tar'."
        )
    return sorted(files)


def _from_files(name: str, files: list[str]) -> Any:
    import datasets

    loader = KINDS[os.path.splitext(files[0])[1]]
    # `datasets` reads a path as a pattern, so what looks like one must be escaped.
    paths = [glob.escape(os.path.abspath(file)) for file in files]
    try:
        return datasets.load_dataset(loader, data_files={"train": paths}, split="train")
    except Exception as error:  # pyarrow, tarfile, fsspec and datasets each have their own
        raise UserError(
            f"{shown(name)} cannot be read as {loader} ({len(files):,} files): {_cause(error)}; "
            "check that the files are whole and of one layout."
        ) from error


def _from_hub(name: str, split: str | None) -> Any:
    import datasets

    try:
        parts = datasets.load_dataset(name)
    except Exception as error:  # offline, unknown, private, gated, without pictures …
        raise UserError(
            f"{name} is no file or folder here, and the Hugging Face hub gave no data set of that "
            f"name: {_cause(error)}; check the name, the connection and, for a private data set, "
            "HF_TOKEN."
        ) from error
    if split is not None and split not in parts:
        raise UserError(f"split={split}: {name} has no such part; {nearest(split, parts)}")
    return parts[split or ("train" if "train" in parts else next(iter(parts)))]


def _cause(error: BaseException) -> str:
    """The first line of the innermost reason: loaders wrap theirs in "an error occurred"."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {said[0].rstrip('. ')}" if said[0] else type(error).__name__


def _picture_column(name: str, features: Any, wanted: str | None) -> str:
    """The column of pictures: by type (Image, a struct with bytes, binary), then by name."""
    import datasets

    def encoded(feature: Any) -> bool:
        binary = isinstance(feature, datasets.Value) and "binary" in feature.dtype
        return binary or (isinstance(feature, dict) and "bytes" in feature)

    if wanted is not None:
        _known_column(name, features, "column", wanted)
        if isinstance(features[wanted], datasets.Image) or encoded(features[wanted]):
            return wanted
        raise UserError(f"column={wanted}: {name} holds {features[wanted]} there, not pictures.")
    typed = [key for key, feature in features.items() if isinstance(feature, datasets.Image)]
    found = typed or [key for key, feature in features.items() if encoded(feature)]
    named = [key for key in _PICTURE_COLUMNS if key in found]
    if len(found) == 1 or named:
        return (named or found)[0]
    raise UserError(
        f"{shown(name)} has {len(found)} columns that could hold pictures ({', '.join(found)})"
        if found
        else f"{shown(name)} has no column of pictures, only {_listed(features)}; expected one of "
        "encoded pictures."
    )


def _classes(
    name: str, data: Any, wanted: str | None, labels: bool | None
) -> tuple[list[int] | None, tuple[str, ...]]:
    """The label of each row and the names of the classes."""
    import datasets

    must = bool(labels) or wanted is not None
    if labels is False:
        return None, ()
    if wanted is not None:
        _known_column(name, data.features, "label", wanted)
    column = wanted or _label_column(data.features)
    if column is None:
        if must:
            raise UserError(
                f"labels: {shown(name)} has no column of classes, only {_listed(data.features)}; "
                "name one, or do not ask for labels."
            )
        return None, ()
    values, feature = list(data[column]), data.features[column]
    if isinstance(feature, datasets.ClassLabel):
        names, known = tuple(feature.names), range(len(feature.names))
    else:
        known = sorted({value for value in values if value is not None})
        names = tuple(map(str, known))
    index = {value: i for i, value in enumerate(known)}
    missing = sum(value not in index for value in values)  # None, or -1 in unlabelled parts
    if missing and must:
        raise UserError(f"label={column}: {missing:,} rows of {shown(name)} have no class there.")
    if missing or (len(names) < 2 and not must):
        return None, ()
    return [index[value] for value in values], names


def _label_column(features: Any) -> str | None:
    """The column of classes: one called so, else the first that is typed so."""
    import datasets

    def plain(feature: Any) -> bool:
        kinds = ("int", "uint", "string", "large_string", "bool")
        return isinstance(feature, datasets.Value) and feature.dtype.startswith(kinds)

    typed = [key for key, value in features.items() if isinstance(value, datasets.ClassLabel)]
    named = [key for key in _LABEL_COLUMNS if key in features]
    usable = [key for key in named if key in typed or plain(features[key])]
    return (usable + typed)[0] if usable or typed else None


def _known_column(name: str, features: Iterable[str], argument: str, wanted: str) -> None:
    if wanted not in features:
        raise UserError(
            f"{argument}={wanted}: {shown(name)} has no such column; {nearest(wanted, features)}"
        )


def _listed(features: Any) -> str:
    return ", ".join(f"{key} ({getattr(value, 'dtype', value)})" for key, value in features.items())

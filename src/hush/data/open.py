"""One word from the user, and the source it means."""

import glob
import os
import re
from dataclasses import fields
from typing import Any

from hush.data.cells import ENDING
from hush.data.digits import digits
from hush.data.images import folder, is_picture, walk
from hush.data.known_series import KNOWN
from hush.data.options import PictureOptions
from hush.data.series import OPTIONS, series
from hush.data.shards import is_address, shards
from hush.data.source import Source
from hush.data.tables import rows
from hush.data.words import shown
from hush.errors import UserError, nearest

BUILTIN = {"digits": digits}
_TABLE_OPTIONS = ("column", "label", "split")
_SHARD, _TABLE = ".tar", ".parquet"
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def open_source(text: str | os.PathLike[str], **options: Any) -> Source:
    """The source that `text` means, wherever it lies.

    "digits" is scikit-learn's; a folder is read as pictures or, where it holds none, as the
    Parquet files or WebDataset shards in it; so is a .parquet or .tar file or a pattern of them;
    "https://…/shards-{000..099}.tar" or another address of fsspec means shards that lie there;
    "user/name" is a data set of the Hugging Face hub. A .csv file holds series, a .parquet file
    where an option of theirs is given, and co2, elnino, macrodata, stocks and sunspots are built
    in. `options` are the fields of `PictureOptions`, and `column`, `label`, `split` of `table`; of
    series those of `SeriesOptions`. Raises `UserError` for an unknown source, and for an option
    that the source cannot take.
    """
    name = os.fspath(text)
    if holds_series(name, options):
        return _series(name, options)
    table = {key: options.pop(key) for key in _TABLE_OPTIONS if options.get(key) is not None}
    options = {key: value for key, value in options.items() if key not in _TABLE_OPTIONS}
    known = [field.name for field in fields(PictureOptions)]
    for key in options.keys() - set(known):
        raise UserError(f"{key}: no such option of {shown(name)}; {nearest(key, known)}")
    picture = PictureOptions(**options)
    if name in BUILTIN:
        return _builtin(name, picture, table)
    kind = _kind(name)
    if kind == _TABLE:
        return rows(name, picture, **table)
    if kind == _SHARD and "split" not in table:
        return shards(name, picture, **table)
    if table:
        raise UserError(f"{', '.join(table)}: {shown(name)} is no table, so leave that out.")
    return folder(name, picture)


def holds_series(name: str, options: dict[str, Any]) -> bool:
    """Whether `open_source` reads this as series."""
    if is_address(name):
        return False
    own = {key for key in OPTIONS if options.get(key) is not None} - {"labels"}
    builtin = name in KNOWN and not os.path.exists(name)
    return builtin or name.endswith(ENDING) or (name.endswith(_TABLE) and bool(own))


def _series(name: str, options: dict[str, Any]) -> Source:
    """Series; options of pictures that say what they always say are not heeded."""
    usual = {field.name: field.default for field in fields(PictureOptions)}
    said = {key: value for key, value in options.items() if value != usual.get(key)}
    strange = [f"{key}={value}" for key, value in said.items() if key not in OPTIONS]
    if strange:
        raise UserError(f"{', '.join(strange)}: {shown(name)} holds series; leave that out.")
    return series(name, **said)


def _builtin(name: str, options: PictureOptions, table: dict[str, str]) -> Source:
    """A source that comes as it is: options other than the defaults cannot be heeded."""
    source = BUILTIN[name]()
    height_width, channels = source.shape[1:], source.shape[0]
    default = PictureOptions()
    asked = {field.name: getattr(options, field.name) for field in fields(options)}
    if options.height_width == height_width:
        asked["size"] = None
    if options.channels == channels:
        asked["channels"] = None
    if options.labels:
        asked["labels"] = None
    # Opaque, whole and always readable, so these three change nothing.
    for key in ("crop", "background", "skip_broken"):
        asked[key] = getattr(default, key)
    refused = [f"{key}={value}" for key, value in asked.items() if value != getattr(default, key)]
    refused += [f"{key}={value}" for key, value in table.items()]
    if refused:
        shape = "x".join(map(str, source.shape))
        raise UserError(f"{', '.join(refused)}: {name} are {shape} as they are; leave that out.")
    return source


def _kind(name: str) -> str:
    """The ending of its files, "" for pictures; raises `UserError` when it means nothing at all."""
    path = os.path.expanduser(name)
    if is_address(name):
        return _SHARD
    if os.path.isdir(path):
        return _held(path)
    ending = os.path.splitext(path)[1]
    if os.path.exists(path):
        return ending if ending in (_SHARD, _TABLE) else ""
    if glob.has_magic(path) or ending in (_SHARD, _TABLE):
        return _SHARD if ending == _SHARD else _TABLE
    parent = os.path.dirname(path)
    # "photos/cats" beside an existing photos/ is a slip of the pen, not a stranger's data set.
    if _HUB_NAME.fullmatch(name) and not os.path.isdir(parent):
        return _TABLE
    if parent and os.path.isdir(parent):
        beside = [entry for entry in os.listdir(parent) if not entry.startswith(".")]
        hint = nearest(os.path.basename(path), map(shown, beside)) if beside else "it is empty."
        raise UserError(f"{shown(path)} does not exist; in {shown(parent)}, {hint}")
    raise UserError(
        f"{shown(name)} is no folder or file here, no data set of the hub (user/name), and none of "
        f"the built-in ones; {nearest(name, [*BUILTIN, *KNOWN])}"
    )


def _held(folder: str) -> str:
    """The kind of what a folder holds: pictures before anything else."""
    if next(filter(is_picture, walk(folder)), None) is not None:
        return ""
    kinds = {os.path.splitext(file)[1] for file in walk(folder)} & {_SHARD, _TABLE}
    if len(kinds) == 2:
        raise UserError(
            f"{shown(folder)} holds .parquet files and .tar shards; name one kind, such as "
            "'shards/*.tar'."
        )
    return kinds.pop() if kinds else ""

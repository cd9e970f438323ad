"""Which columns of a table hold the pictures and the classes."""

from collections.abc import Iterable
from typing import Any

from hush.data.words import shown
from hush.errors import UserError, nearest

_PICTURE_COLUMNS = ("image", "img", "picture")
_LABEL_COLUMNS = ("label", "labels", "cls", "class")


def picture_column(name: str, features: Any, wanted: str | None) -> str:
    """The column of pictures: by type (Image, a struct with bytes, binary), then by name."""
    import datasets

    def encoded(feature: Any) -> bool:
        binary = isinstance(feature, datasets.Value) and "binary" in feature.dtype
        return binary or (isinstance(feature, dict) and "bytes" in feature)

    if wanted is not None:
        _known_column(name, features, "column", wanted)
        if isinstance(features[wanted], datasets.Image) or encoded(features[wanted]):
            return wanted
        raise UserError(
            f"column={wanted}: {shown(name)} holds {features[wanted]} there, not pictures."
        )
    typed = [key for key, feature in features.items() if isinstance(feature, datasets.Image)]
    found = typed or [key for key, feature in features.items() if encoded(feature)]
    named = [key for key in _PICTURE_COLUMNS if key in found]
    if len(found) == 1 or named:
        return (named or found)[0]
    several = ", ".join(map(shown, found))
    raise UserError(
        f"{shown(name)} has {len(found)} columns that could hold pictures ({several}); name one."
        if found
        else f"{shown(name)} has no column of pictures, only {_listed(features)}; expected one of "
        "encoded pictures."
    )


def classes(
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
        names, known = tuple(map(shown, feature.names)), range(len(feature.names))
    else:
        known = sorted({value for value in values if value is not None})
        names = tuple(shown(str(value)) for value in known)
    index = {value: i for i, value in enumerate(known)}
    missing = sum(value not in index for value in values)  # None, or -1 in unlabelled parts
    if missing and must:
        raise UserError(
            f"label={shown(column)}: {missing:,} rows of {shown(name)} have no class there."
        )
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
        hint = nearest(wanted, map(shown, features))
        raise UserError(f"{argument}={wanted}: {shown(name)} has no such column; {hint}")


def _listed(features: Any) -> str:
    kinds = {shown(key): getattr(value, "dtype", value) for key, value in features.items()}
    return ", ".join(f"{key} ({kind})" for key, kind in kinds.items())

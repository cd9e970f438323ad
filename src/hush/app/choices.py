"""Words of the command line that name a value: `multistep:order=2` is Multistep(order=2)."""

import ast
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from hush.errors import UserError, nearest
from hush.samplers import Ancestral, Heun, Multistep, bases, grids

SAMPLERS: Mapping[str, Any] = {
    "ancestral": Ancestral(),
    "ddpm": Ancestral(eta=1.0),
    "ddim": Ancestral(eta=0.0),
    "heun": Heun(),
    "edm": Heun(bases.Noise()),
    "multistep": Multistep(),
}
GRIDS: Mapping[str, Any] = {
    "uniform": grids.Uniform(),
    "log_snr": grids.LogSNR(),
    "karras": grids.Karras(),
    "chain": grids.Chain(),
}


def choose(table: Mapping[str, Any], what: str, text: str) -> Any:
    """The value that `text` names in a table, with the fields that follow its colon changed.

    >>> choose(SAMPLERS, "sampler", "multistep:order=2").order
    2
    """
    name, _, changes = text.partition(":")
    if name not in table:
        raise UserError(f"There is no {what} {name!r}: {nearest(name, table)}")
    known = [field.name for field in fields(table[name])]
    given: dict[str, Any] = {}
    for change in filter(None, changes.split(",")):
        key, _, value = change.partition("=")
        if key not in known:
            raise UserError(f"The {what} {name} has no setting {key!r}: {nearest(key, known)}")
        given[key] = _literal(value)
    return _made(lambda: replace(table[name], **given), f"{what} {text!r}")


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _made(make: Callable[[], Any], what: str) -> Any:
    try:
        return make()
    except (TypeError, ValueError) as error:
        raise UserError(f"The {what} cannot be: {error}") from error

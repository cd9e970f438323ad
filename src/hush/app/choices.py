"""Words of the command line that name a value, and the word for one: `multistep:order=2,basis=data`
is Multistep(order=2, basis=Data()). What is inside a value goes in parentheses:
`restart:sampler=multistep(order=2),repeats=3`."""

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from hush.errors import UserError, nearest
from hush.samplers import (
    Adaptive,
    AdaptiveSDE,
    Ancestral,
    AnnealedLangevin,
    Churn,
    EulerMaruyama,
    Heun,
    Multistep,
    PredictorCorrector,
    Restart,
    ReverseDiffusion,
    Reversible,
    RungeKutta,
    SingleStep,
    bases,
    grids,
)

_DATA, _REVERSE = bases.Data(), bases.Data(tau=1.0)

SAMPLERS: Mapping[str, Any] = {
    "ancestral": Ancestral(),
    "ddpm": Ancestral(eta=1.0),
    "ddim": Ancestral(eta=0.0),
    "heun": Heun(),
    "edm": Heun(bases.Noise()),
    "runge_kutta": RungeKutta(),
    "multistep": Multistep(),
    "adaptive": Adaptive(),
    "reversible": Reversible(),
    "singlestep": SingleStep(),
    "dpm_solver": SingleStep(3, bases.Noise(), along="log_snr", rule="midpoint"),
    "dpm_solver++": Multistep(2, _DATA, along="log_snr", rule="midpoint"),
    "sde_dpm_solver++": Multistep(2, _REVERSE, along="log_snr", rule="midpoint"),
    "unipc": Multistep(3, _DATA, corrector=4, along="log_snr"),
    "deis": Multistep(3, bases.Noise(), along="log_snr"),
    "pndm": Multistep(4, bases.Noise(), along="time", start="again"),
    "euler_maruyama": EulerMaruyama(),
    "reverse_diffusion": ReverseDiffusion(),
    "predictor_corrector": PredictorCorrector(),
    "langevin": AnnealedLangevin(),
    "churn": Churn(),
    "edm_stochastic": Churn(Heun(bases.Noise())),
    "adaptive_sde": AdaptiveSDE(),
    "sa_solver": Multistep(3, _REVERSE, corrector=3, along="log_snr"),
}
GRIDS: Mapping[str, Any] = {
    "uniform": grids.Uniform(),
    "quadratic": grids.Quadratic(),
    "log_snr": grids.LogSNR(),
    "karras": grids.Karras(),
    "focused": grids.Focused(),
    "chain": grids.Chain(),
    "given": grids.Given(),
    "restart": Restart(),
}
BASES: Mapping[str, Any] = {
    "velocity": bases.Velocity(),
    "noise": bases.Noise(),
    "data": bases.Data(),
    "angular": bases.Angular(),
}


def choose(table: Mapping[str, Any], what: str, text: str) -> Any:
    """The value that `text` names in a table, with the fields that follow its colon changed.

    >>> choose(SAMPLERS, "sampler", "multistep:order=2,basis=data(tau=0.5)").basis
    Data(tau=0.5)
    """
    name, _, changes = text.partition(":")
    if name not in table:
        hint = nearest(name, table)
        known = "" if "known are" in hint else f" Known are {', '.join(sorted(table))}."
        raise UserError(f"There is no {what} {name!r}: {hint}{known}")
    return _changed(table[name], changes, f"{what} {name}")


def word(value: Any) -> str:
    """The word for a sampler or a grid: that of the table nearest to it, with what differs after a
    colon, so that `choose` gives it back.

    >>> word(Multistep(2, corrector=4))
    'multistep:order=2,corrector=4'
    """
    table = next(one for one in (SAMPLERS, GRIDS) if type(value) in map(type, one.values()))
    name, said = _said(value, table)
    return f"{name}:{said}" if said else name


def _said(value: Any, table: Mapping[str, Any]) -> tuple[str, str]:
    """The name in a table that needs the fewest changes to be this value, and these."""
    told = []
    for name, base in table.items():
        if type(base) is type(value):
            pairs = [(f.name, getattr(value, f.name), getattr(base, f.name)) for f in fields(base)]
            told.append((name, [f"{key}={_spelt(own)}" for key, own, old in pairs if own != old]))
    name, changes = min(told, key=lambda one: len(one[1]))
    return name, ",".join(changes)


def _spelt(value: Any) -> str:
    """A setting as `_value` reads it."""
    if not is_dataclass(value):
        return value if isinstance(value, str) else repr(value).replace(" ", "")
    tables = (SAMPLERS, GRIDS, BASES)
    table = next(one for one in tables if type(value) in map(type, one.values()))
    name, said = _said(value, table)
    return f"{name}({said})" if said else name


def _changed(value: Any, changes: str, what: str) -> Any:
    """The value with fields changed as "key=value,key=value" says."""
    known = {field.name: getattr(value, field.name) for field in fields(value)}
    given: dict[str, Any] = {}
    for change in filter(None, _split(changes)):
        key, _, said = change.partition("=")
        if key not in known:
            raise UserError(f"The {what} has no setting {key!r}: {nearest(key, known)}")
        given[key] = _value(said, known[key], f"{key} of the {what}")
    return _made(lambda: replace(value, **given), f"{what} with {changes!r}")


def _value(said: str, old: Any, what: str) -> Any:
    """What is said of a setting: where it holds a sampler, grid or basis, one of these by name."""
    if not is_dataclass(old):
        value = _literal(said)
        numbers = isinstance(old, float | tuple) and isinstance(value, int | tuple)
        return _floats(value) if numbers and old != () else value
    name, _, changes = said.removesuffix(")").partition("(")
    tables = ({"Sampler": SAMPLERS, "Grid": GRIDS}.get(c.__name__) for c in type(old).__mro__)
    table = next((one for one in tables if one), BASES)
    if name not in table:
        raise UserError(f"The {what} cannot be {name!r}: {nearest(name, table)}")
    return _changed(table[name], changes, f"{what}, {name},")


def _split(changes: str) -> list[str]:
    """At the commas that stand in no parentheses."""
    return re.split(r",(?![^(]*\))", changes)


def _floats(value: Any) -> Any:
    """Whole numbers where others are expected."""
    return tuple(map(_floats, value)) if isinstance(value, tuple) else float(value)


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

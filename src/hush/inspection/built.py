"""A system from settings by name, as the command line has them."""

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch

from hush.data import Source
from hush.system import System
from hush.systems.index import find
from hush.systems.suited import decided
from hush.systems.taken import Taken


def built(name: str, source: Source, settings: Mapping[str, Any], seed: int = 0) -> System:
    """The system of that name for a source: its parameters, and the fields of its recipe and of its
    network, as `settings` say, the others as its paper does. Initial weights are those of `seed`.
    """
    function, chosen = find(name), {}
    for key, parameter in inspect.signature(function).parameters.items():
        default = parameter.default
        if isinstance(default, Taken):
            if settings.get(key) is not None:
                chosen[key] = Taken.of(settings[key])
        elif is_dataclass(default):
            own = {f.name: settings[f.name] for f in fields(default) if f.name in settings}
            chosen[key] = replace(default, **own)
        elif key in settings:
            chosen[key] = settings[key]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return function(**{**chosen, **decided(name, source)})


def takes(name: str) -> set[str]:
    """The settings of a system by name: parameters that are no values of their own, and the fields
    of those that are."""
    found = set()
    for key, parameter in inspect.signature(find(name)).parameters.items():
        default = parameter.default
        parts = is_dataclass(default) and not isinstance(default, Taken)
        found |= {field.name for field in fields(default)} if parts else {key}
    return found

"""What a peer offers to the comparison: settings, each a walk and its name."""

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

from torch import Tensor

from peers.flows import Flows, Walk

Outcome = tuple[Walk, Tensor]  # what was asked on the way, and where it ended


class TooFew(Exception):
    """So few evaluations are not even one walk of this method."""


@dataclass(frozen=True)
class Setting:
    """One sampler with one choice of everything it lets its user choose.

    `walk(flows, evaluations)` spends at most so many, or raises `TooFew`; `default` marks what a
    user of that library gets who chooses nothing.
    """

    library: str
    method: str
    options: str
    walk: Callable[[Flows, int], Outcome]
    default: bool = False

    def __str__(self) -> str:
        return f"{self.library} {self.method}({self.options})"


def load(package: str, *modules: str, missing: tuple[str, ...] = ()) -> list[types.ModuleType]:
    """Modules of an installed package without its `__init__`, and without the libraries it imports
    for networks and pictures: stand-ins take the place of those that are `missing`, for as long
    as the import lasts."""
    found = importlib.util.find_spec(package)
    if found is None:
        raise SystemExit(f"This compares with {package}: pip install --no-deps {package}")
    bare = types.ModuleType(package)
    bare.__path__ = list(found.submodule_search_locations)
    absent = {
        name: mock.MagicMock()
        for name in missing
        if importlib.util.find_spec(name.partition(".")[0]) is None
    }
    with mock.patch.dict(sys.modules, {package: bare, **absent}):
        return [importlib.import_module(f"{package}.{module}") for module in modules]

"""Systems: one page per paper. `hush.systems.ddpm(shape=(3, 32, 32))` makes one."""

import sys
from types import ModuleType
from typing import Any

from hush.systems.index import TABLE, find


class _Systems(ModuleType):
    """Importing the page `hush.systems.ddpm` would bind the module here; what the package offers
    under that name is the function."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in TABLE and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name in TABLE:
        return find(name)
    raise AttributeError(f"module 'hush.systems' has no attribute {name!r}")


sys.modules[__name__].__class__ = _Systems

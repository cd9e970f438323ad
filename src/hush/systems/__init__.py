"""Systems: one page per paper. `hush.systems.ddpm(shape=(3, 32, 32))` makes one."""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hush.systems.index import TABLE, find

if TYPE_CHECKING:  # what a type checker sees of the table
    from hush.systems.analytic_dpm import analytic_dpm as analytic_dpm
    from hush.systems.anoddpm import anoddpm as anoddpm
    from hush.systems.ardm import ardm as ardm
    from hush.systems.autoencoder import autoencoder as autoencoder
    from hush.systems.cascade import cascade as cascade
    from hush.systems.cmde import cmde as cmde
    from hush.systems.csde import csde as csde
    from hush.systems.csdi import csdi as csdi
    from hush.systems.d3pm import d3pm as d3pm
    from hush.systems.ddep import ddep as ddep
    from hush.systems.ddim import ddim as ddim
    from hush.systems.ddpm import ddpm as ddpm
    from hush.systems.edm import edm as edm
    from hush.systems.energy import energy as energy
    from hush.systems.improved_ddpm import improved_ddpm as improved_ddpm
    from hush.systems.ldm import ldm as ldm
    from hush.systems.ncsn import ncsn as ncsn
    from hush.systems.palette import palette as palette
    from hush.systems.rectified_flow import rectified_flow as rectified_flow
    from hush.systems.score_sde import score_sde as score_sde
    from hush.systems.scoreflow import scoreflow as scoreflow
    from hush.systems.sr3 import sr3 as sr3
    from hush.systems.srdiff import srdiff as srdiff
    from hush.systems.sssd import sssd as sssd
    from hush.systems.timegrad import timegrad as timegrad
    from hush.systems.vdm import vdm as vdm


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

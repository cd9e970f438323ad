"""The table of systems. A row names the function; it is imported only when it is wanted, so that
listing costs nothing."""

import importlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hush.errors import UserError, nearest

if TYPE_CHECKING:
    from hush.system import System


class Row(NamedTuple):
    """A system at a glance."""

    data: str
    task: str
    says: str
    paper: str


TABLE = {
    "ddpm": Row("pictures", "generate", "a chain of small noisings walked back", "Ho et al. 2020"),
    "ddim": Row("pictures", "generate", "the same in few deterministic steps", "Song et al. 2021"),
    "improved_ddpm": Row(
        "pictures", "generate", "the cosine chain, predicting noise or v", "Nichol, Dhariwal 2021"
    ),
    "edm": Row("pictures", "generate", "preconditioned, Heun in 18 steps", "Karras et al. 2022"),
    "rectified_flow": Row(
        "pictures", "generate", "a straight line from noise to data", "Liu et al. 2023"
    ),
}


def find(name: str) -> Callable:
    """The function of a system, `hush.systems.<name>`; a misspelt name gets the nearest one."""
    if name not in TABLE:
        raise UserError(f"There is no system {name!r}: {nearest(name, TABLE)}")
    return getattr(importlib.import_module(f"hush.systems.{name}"), name)


def load(path: str | os.PathLike[str], average: bool = True) -> "System":
    """The system of a run folder with its trained weights, ready to sample from: the averaged ones,
    or with `average=False` the last. Raises `UserError` for a folder that is not a whole run."""
    from hush.system import rebuilt
    from hush.training.checkpoint import Run, load_into

    run = Run(path)
    record = run.record
    system = rebuilt(find(record["name"]), record["arguments"])
    name = "ema.safetensors" if average else "model.safetensors"
    load_into(system.denoiser, system.codec, run.path / name)
    return system

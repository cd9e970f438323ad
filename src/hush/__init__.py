"""hush trains and uses diffusion models on a person's own data.

    import hush
    data = hush.data.images("photos/", size=32)
    model = hush.systems.ddpm(data.shape)
    hush.train(model, data, "runs/a", steps=100_000)
    x = hush.load("runs/a").sample(64, sampler=hush.samplers.Multistep(order=3), grid=20, seed=7)

Names are imported when first used, so that `import hush` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what a type checker sees of the names below
    from hush import codecs as codecs
    from hush import data as data
    from hush import denoisers as denoisers
    from hush import distributions as distributions
    from hush import evaluation as evaluation
    from hush import guidance as guidance
    from hush import interop as interop
    from hush import likelihoods as likelihoods
    from hush import networks as networks
    from hush import noise as noise
    from hush import objectives as objectives
    from hush import processes as processes
    from hush import rng as rng
    from hush import samplers as samplers
    from hush import schedules as schedules
    from hush import systems as systems
    from hush import tasks as tasks
    from hush import testing as testing
    from hush.app.examining import evaluate as evaluate
    from hush.data.preview import show as show
    from hush.errors import UserError as UserError
    from hush.estimators import Forecaster as Forecaster
    from hush.estimators import Imputer as Imputer
    from hush.inspection import inspect as inspect
    from hush.system import Recipe as Recipe
    from hush.system import System as System
    from hush.systems.index import load as load
    from hush.training.loop import train as train

_ROOMS = (
    "codecs",
    "data",
    "denoisers",
    "distributions",
    "evaluation",
    "guidance",
    "interop",
    "likelihoods",
    "networks",
    "noise",
    "objectives",
    "processes",
    "rng",
    "samplers",
    "schedules",
    "systems",
    "tasks",
    "testing",
)
_NAMES = {
    "Forecaster": "hush.estimators",
    "Imputer": "hush.estimators",
    "System": "hush.system",
    "Recipe": "hush.system",
    "UserError": "hush.errors",
    "evaluate": "hush.app.examining",
    "inspect": "hush.inspection",
    "load": "hush.systems.index",
    "show": "hush.data.preview",
    "train": "hush.training.loop",
}

__all__ = [*_NAMES, *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"hush.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'hush' has no attribute {name!r}")

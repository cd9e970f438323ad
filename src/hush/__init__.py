"""hush trains and uses diffusion models on a person's own data.

    import hush
    data = hush.data.images("photos/", size=32)
    model = hush.systems.ddpm(data.shape)
    hush.train(model, data, "runs/a", steps=100_000)
    x = hush.load("runs/a").sample(64, sampler=hush.samplers.Multistep(order=3), grid=20, seed=7)

Names are imported when first used, so that `import hush` is quick.
"""

import importlib
from typing import Any

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
    "inspect": "hush.inspection",
    "load": "hush.systems.index",
    "train": "hush.training.loop",
}

__all__ = [*_NAMES, *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"hush.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'hush' has no attribute {name!r}")

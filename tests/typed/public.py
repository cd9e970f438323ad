"""The public API as a strict type checker meets it: nothing in it is unknown."""

from pathlib import Path
from typing import assert_type

from torch import Tensor

import hush
from hush.data import Source, Windows
from hush.samplers import Multistep, Sampler
from hush.samplers.grids import Grid

data = hush.data.images("photos/", size=32)
model = hush.systems.ddpm(data.shape, data.classes)
assert_type(model, hush.System)
trained = hush.train(model, data, Path("runs/a"), steps=100)
assert_type(trained, hush.System)
loaded = hush.load("runs/a")
x = loaded.sample(64, sampler=Multistep(order=3), grid=20, seed=7)
assert_type(x, Tensor)
best = loaded.plan(8)[0]
by: Sampler = best.sampler
over: Grid = best.grid
series = hush.data.series("a.csv", length=24)
assert_type(series, Windows)
part: Source = series
first, second = hush.data.split(data)
hush.show(x)
bits = hush.evaluation.likelihood(model, data)
value: float = bits.bits
for state in loaded.walk(3):
    now: Tensor | dict[str, Tensor] = state.x
hush.Imputer()
hush.Forecaster(horizon=3)
report = hush.inspect("photos/", hours=3.0, size=64)
assert_type(report.build(), hush.System)
why: list[str] = [choice.why for choice in report.choices]

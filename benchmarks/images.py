"""Pictures made whole: each system beside what needs no diffusion, on patches of real photographs.

    python benchmarks/images.py [--only NAME ...] [--steps 1000] [--runs runs/images]

Patches of 32 by 32 pixels in colour (`small.patches`), parted by photograph. Every system trains a
like U-Net for as many steps, in a run that is kept and not repeated; a regression network, which
answers directly (L1), for a third as many. Each of 200 test patches is answered twice in 20
evaluations, and judged as `hush evaluate` does (`hush.tasks.judged`). Beside it, how fast srdiff
learns with and without its residual, with a smaller network.

Writes benchmarks/results/images.md (the rows of what was judged so far, and what they were to show)
and images-NAME.png: what was given, the classical method's, the regression's, two answers, the
truth.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import restored
import small
import torch
from measure import RESULTS, half, header, options, write

import hush
from hush.codecs import Range
from hush.data import InMemory, save, strip
from hush.networks import Backbone
from hush.samplers import Ancestral
from hush.samplers.grids import LogSNR
from hush.system import Recipe, System
from hush.tasks.judged import Answered, Row, Yard, answered, parts

SHAPE = (3, 32, 32)
BACKBONE = Backbone(width=24, multipliers=(1, 2, 3), blocks=1, attention=(2,), dropout=0.0)
SMALLER = Backbone(width=16, multipliers=(1, 2), blocks=1, attention=(), dropout=0.0)
FEWER = {"batch": 16, "learning_rate": 1e-3, "warmup": 100, "ema": 0.998}
RACE = {"batch": 16, "learning_rate": 1e-3, "warmup": 50, "ema": 0.98, "steps": 400}
EACH = 50  # steps between two looks at who learns faster
SHOWN = 8


def palette(*tasks: str, absolute: bool = False) -> Callable[[], System]:
    """The makers of Palette for these tasks."""
    return lambda: hush.systems.palette(SHAPE, tasks, BACKBONE, absolute=absolute)


SYSTEMS: dict[str, Callable[[], System]] = {
    "sr3": lambda: hush.systems.sr3(SHAPE, 4, BACKBONE),
    "srdiff, x2": lambda: hush.systems.srdiff(SHAPE, 2, BACKBONE, features=16, groups=2),
    "palette, colourise": palette("colourise"),
    "palette, inpaint": palette("inpaint"),
    "palette, uncrop": palette("uncrop"),
    "palette, jpeg": palette("jpeg"),
    "palette, mix": palette("colourise", "inpaint", "uncrop", "jpeg"),
    "palette, colourise, L1": palette("colourise", absolute=True),
}


def trained(name: str, make: Callable[[], System], given: argparse.Namespace) -> System:
    """The run of a system, trained if it is not there."""
    torch.manual_seed(0)
    recipe = Recipe(**{**FEWER, "steps": given.steps}, decay="cosine", precision=half())
    out, began = given.runs / _file(name), time.perf_counter()
    system = hush.train(make(), source(), out, recipe, sample_every=given.steps, show=False)
    took = out / "minutes.json"
    if not took.exists():
        took.write_text(json.dumps((time.perf_counter() - began) / 60))
    return system


def patches() -> small.Split:
    """All to learn from, and every second of those to test on."""
    train, test = small.patches()
    return train, test[::2]


def source() -> InMemory:
    """What all learn from."""
    return InMemory(small.patches()[0], levels=256, name="patches of photographs")


def judged(name: str, system: System, yard: Yard, steps: int) -> Iterable[Row]:
    """The rows of one system, and a picture of each of its tasks."""
    train, test = patches()
    own = replace(system, name=name)
    how = {**walk_of(system), "precision": half(), "batch": 100}
    mixed = len(parts(system)) > 1  # the regression of each task stands beside its specialist
    for task in parts(system):
        told = answered(own, task, train, test, 0 if mixed else steps, **how)
        show(told, f"{_file(name)}-{told.name}" if mixed else _file(name))
        yield from yard.rows(told)


def walk_of(system: System) -> dict[str, Any]:
    """Twenty steps, spread over the log-SNR and with new noise: what is asked for is narrow, so
    little of it shows in the upper half of a chain, and after so little training a walk without
    noise keeps its errors. srdiff answers with medians (L1), of which all of the chain's noise
    makes nothing much and none of it specks (`specks.py`): half is between."""
    return {"sampler": Ancestral(0.5 if system.name == "srdiff" else 1.0), "grid": LogSNR(20)}


def show(told: Answered, name: str) -> None:
    """Some of the questions, and all answers to them."""
    given = told.asked.given
    columns = [given, *(one for each in told.answers.values() for one in each), told.asked.truth]
    some = [column[:: len(given) // SHOWN][:SHOWN] for column in columns]
    save(strip(some, zoom=3), RESULTS / f"images-{name}.png", overwrite=True)


def raced(runs: Path) -> dict[str, dict[int, float]]:
    """|ε - ε_θ| of held-out patches as srdiff learns, on its residual and on the picture itself."""
    losses = {}
    for name in ("residual", "picture"):
        torch.manual_seed(0)
        system = hush.systems.srdiff(SHAPE, 2, SMALLER, features=8, groups=1)
        system = replace(system, grid=replace(system.grid, steps=1))  # no sample is looked at
        if name == "picture":
            system = replace(system, codec=Range())
        out = runs / f"race-{name}"
        hush.train(system, source(), out, Recipe(**RACE), sample_every=EACH, show=False)
        lines = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
        key = "held_out/mean"
        losses[name] = {line["step"]: line[key] for line in lines if key in line}
    return losses


def _file(name: str) -> str:
    return name.replace(", ", "-")


def main() -> None:
    """Train what is asked for, judge what is there."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--only", nargs="*", default=[*SYSTEMS], choices=SYSTEMS)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--runs", type=Path, default=Path("runs/images"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    kept, found = given.runs / "rows.json", {}
    if kept.exists():
        found = json.loads(kept.read_text())
    yard = Yard.of(*patches()) if given.only else None
    for name in given.only:
        system = trained(name, SYSTEMS[name], given)
        minutes = json.loads((given.runs / _file(name) / "minutes.json").read_text())
        rows = [restored.kept(row) for row in judged(name, system, yard, given.steps // 3)]
        found[name] = {"minutes": minutes, "steps": given.steps, "rows": rows}
        kept.write_text(json.dumps(found))
    page = restored.page(found, raced(given.runs), [name for name in SYSTEMS if name in found])
    write("images.md", [header("python benchmarks/images.py", given), "", *page])


if __name__ == "__main__":
    main()

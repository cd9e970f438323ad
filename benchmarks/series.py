"""Series told: gaps and futures beside what needs no learning, on real series and on known ones.

    python benchmarks/series.py [--only NAME ...] [--runs runs/series] [--threads 2]

The last 30 % of every series' stamps are held out, and all scores are in units of a channel's
deviation before them. Of 40 held-out windows 10, 50 and 90 % of the known values are hidden, the
same for all (a stretch of all channels, where a case says so), and told by 50 draws of each run;
forecasts start from 40 origins, each told what lies before it. Stocks and the economy are changes
of logarithms from one stamp to the next (of rates and percentages, of themselves). `process` is a
stationary Gaussian process whose kernel is known, so its exact posterior stands beside the run;
`waves` are three sines of fixed frequencies whose amplitudes wander. A run that is there is used.

Writes benchmarks/results/series.md and series-NAME.png: windows of a case, the bands of its runs
(csdi, sssd) over what was hidden.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import known
import torch
from measure import RESULTS, header, options, write
from torch import Tensor

import hush
from hush.data import Windows, save, split
from hush.data.bands import bands
from hush.networks.series import TIME
from hush.samplers import Multistep, default
from hush.samplers.grids import Chain
from hush.system import Recipe, System
from hush.tasks.judged.backtest import backtest
from hush.tasks.judged.gaps import classical, hide
from hush.tasks.judged.series import COLUMNS, Hidden, SeriesRow, Units

HELD_OUT, WINDOWS, SAMPLES = 0.3, 40, 50
WALKS = {  # 20 of sssd's linear chain would leave σ/α = .12 to the last step, more than is unknown
    "csdi": (Multistep(2), Chain(20)),
    "sssd": default(20),
    "timegrad": (Multistep(2), Chain(20)),
}
SHARES = 0.1, 0.5, 0.9
CSDI = {"width": 32, "depth": 3, "heads": 4, "predict": "v"}
SSSD = {"width": 32, "depth": 4, "states": 32, "dropout": 0.1, "beta_last": 0.012, "predict": "v"}
TIMEGRAD = {"dropout": 0.3}  # of .1 to .5, what told the end of the first 70 % best
RATE = {"learning_rate": 1e-3, "warmup": 100, "decay": "cosine", "ema": 0.998, "workers": 1}


@dataclass(frozen=True)
class Case:
    """Data, who learns them for how many steps of `batch` windows, and what is asked."""

    source: Callable[[], Windows]
    systems: dict[str, Callable[..., System]]
    steps: dict[str, int]
    shares: tuple[float, ...] = SHARES
    where: str = "random"
    horizon: int = 0
    batch: int = 32


def gaps(source: Callable[[], Windows], csdi: int, sssd: int, **options: Any) -> Case:
    """A case of gaps for both systems."""
    how = {"hide": "blackout"} if options.get("where", "random") != "random" else {}
    made = {
        "csdi": partial(hush.systems.csdi, **CSDI, **how),
        "sssd": partial(hush.systems.sssd, **SSSD, **how),
    }
    return Case(source, made, {"csdi": csdi, "sssd": sssd}, **options)


def ahead(source: Callable[[], Windows], horizon: int, steps: int) -> Case:
    """A case of forecasts."""
    made = {"timegrad": partial(hush.systems.timegrad, **TIMEGRAD)}
    return Case(source, made, {"timegrad": steps}, horizon=horizon)


CASES = {
    "elnino": gaps(known.elnino, 1500, 1200),
    "co2": gaps(known.co2, 1500, 800),
    "sunspots": gaps(known.sunspots, 800, 500),
    "stocks": gaps(known.stocks, 1000, 1500, batch=16),
    "economy": gaps(known.economy, 1000, 1500, batch=16),
    "waves": gaps(known.waves, 1200, 1000, shares=(0.25, 0.5), where="middle"),
    "process": gaps(known.process, 5000, 2500),
    "stocks ahead": ahead(known.stocks_ahead, 6, 600),
    "economy ahead": ahead(known.economy_ahead, 4, 500),
}


def trained(case: Case, name: str, who: str, runs: Path) -> tuple[System, float]:
    """The run of a system, trained if it is not there, and the minutes that took."""
    source, out, began = case.source(), runs / name.replace(" ", "-") / who, time.perf_counter()
    torch.manual_seed(0)
    steps = case.steps[who]
    rare = {"sample_every": steps, "save_every": steps}
    recipe = Recipe(steps=steps, batch=case.batch, held_out=HELD_OUT, **RATE, **rare)
    system = hush.train(case.systems[who](source.shape), source, out, recipe, show=False)
    took = out / "minutes.json"
    if not took.exists():
        took.write_text(json.dumps((time.perf_counter() - began) / 60))
    return system, json.loads(took.read_text())


def judged(case: Case, systems: dict[str, System]) -> tuple[list[SeriesRow], Tensor]:
    """A row for each who told what was hidden, and a picture of what each run did."""
    train, held = split(case.source(), HELD_OUT)
    units = Units.of(train)
    if case.horizon:
        ((who, system),) = systems.items()
        told = backtest(
            system, held, units, case.horizon, None, SAMPLES, WINDOWS, seed=1, **walk(who)
        )
        return told, torch.zeros(1, 1, 1)
    rows, shown = [], None
    for share in case.shares:
        hidden = hide(held, units, share, case.where, WINDOWS, seed=1)
        answers = {
            who: hidden.answers(one, SAMPLES, seed=1, **walk(who)) for who, one in systems.items()
        }
        if "csdi" in systems and share == max(case.shares):
            answers["csdi, 50 ancestral steps"] = hidden.answers(systems["csdi"], SAMPLES, seed=1)
        answers |= classical(hidden, samples=SAMPLES, seed=1)
        if case.source is known.process:
            answers["exact posterior"] = known.posterior(hidden, SAMPLES)
        rows += [hidden.row(who, told) for who, told in answers.items()]
        if share == 0.5:
            shown = torch.cat([picture(hidden, answers[who]) for who in systems], 2)
    return rows, shown


def walk(who: str) -> dict[str, Any]:
    """How a system's answers are drawn."""
    sampler, grid = WALKS[who]
    return {"sampler": sampler, "grid": grid}


def picture(hidden: Hidden, told: Tensor, count: int = 3) -> Tensor:
    """Some windows, what was known of them, and the bands of the answers."""
    some = slice(0, None, max(1, len(told) // count))
    parts = (hidden.seen[some], told[some], hidden.truth[some], hidden.record[TIME][some])
    return bands(*(part[:count, ..., :1, :] if part.ndim > 2 else part[:count] for part in parts))


def main() -> None:
    """Train what is not there, judge, write, draw."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--only", nargs="*", default=[*CASES], choices=CASES)
    parser.add_argument("--runs", type=Path, default=Path("runs/series"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for name in given.only:
        kept(name, given).write_text(json.dumps(case(name, given)))
    found = {name: kept(name, given) for name in CASES}
    found = {name: json.loads(file.read_text()) for name, file in found.items() if file.exists()}
    write("series.md", known.page(header("python benchmarks/series.py", given), found))


def kept(name: str, given: argparse.Namespace) -> Path:
    """Where what was found of a case is kept, so that a page can be made of several calls."""
    return given.runs / name.replace(" ", "-") / "found.json"


def case(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """What was found of one case."""
    made, minutes = {}, {}
    for who in CASES[name].systems:
        made[who], minutes[who] = trained(CASES[name], name, who, given.runs)
    rows, shown = judged(CASES[name], made)
    if shown is not None and shown.numel() > 1:
        save(shown, RESULTS / f"series-{name}.png", overwrite=True)
    return {
        "minutes": minutes,
        "steps": CASES[name].steps,
        "rows": [[*row.cells()] for row in rows],
        "scores": [known.kept(row) for row in rows],
        "columns": COLUMNS,
    }


if __name__ == "__main__":
    main()

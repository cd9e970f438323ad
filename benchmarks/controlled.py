"""CSDE on paths of equations that are known, against what is exact of them.

    python benchmarks/controlled.py [--runs runs/controlled] [--threads 1]

An Ornstein-Uhlenbeck process, one in a double well, and one of two coupled channels that share
noise and are known at half of the stamps, each at its own; all at uneven stamps. Learnt is one path
of 12,000 stamps in windows of 16, and judged another, in windows that do not overlap: a half of the
stamps hidden at random, six of sixteen in the middle, and the same six with nothing known after
them. Exact are the Gaussian posterior and, of the double well, that of a Markov chain on 240
places. CRPS are those of the laws, without the bias of finitely many samples. A run that is there
is used.

Writes benchmarks/results/controlled.md and controlled.png: bridges over the truth, at stamps four
times as close as any that were learnt.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import torch
from controlled_drawn import draw
from controlled_exact import Linear, Well, lined
from measure import RESULTS, header, options, write
from torch import Tensor

import hush
from hush.data import Windows, series
from hush.evaluation.forecasts import sample_crps
from hush.networks.sides import steps
from hush.system import System

LENGTH, LEARNT, JUDGED, SAMPLES = 16, 12_000, 3200, 100
BLOCK = slice(5, 11)
EQUATIONS = {
    "OU": Linear([[0.5]], [1.0]),
    "double well": Well(1.0, 0.8),
    "two channels": Linear([[0.6, -0.4], [0.5, 0.8]], [0.8, 1.0], shared=0.6, known=0.5),
}
RECIPE = {"batch": 64, "learning_rate": 5e-3, "warmup": 20, "ema": 0.98, "workers": 1}
SUBSTEPS = {"OU": 4, "double well": 8, "two channels": 4}
STEPS = {"OU": 400, "double well": 600, "two channels": 400}
ASKED = "Asked [S69]; of two channels it is not, but measured all the same:"


def main() -> None:
    """Train what is not there, measure, write, draw."""
    parser = options(__doc__, rounds=1, threads=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/controlled"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    learnt, minutes, tested = {}, {}, {}
    for name, equation in EQUATIONS.items():
        learnt[name], minutes[name] = trained(name, equation, given)
        tested[name] = table(equation, JUDGED, 1, LENGTH)
    equations, rows, met = [], [], []
    for name, equation in EQUATIONS.items():
        wrong = recovered(learnt[name], equation, tested[name])
        more = transitions(learnt[name], equation) if name == "OU" else ""
        links = learnt[name].denoiser.links.correlations()[1]
        more = f"{links[0, 1]:.2f} of {equation.shared:.2f}" if len(links) > 1 else more
        equations.append(f"| {name} | {wrong[0]:.1%} | {wrong[1]:.1%} | {more} |")
        scores = {way: scored(learnt[name], equation, tested[name], way) for way in HIDDEN}
        rows += [f"| {name} | {way} | " + " | ".join(map(told, row)) for way, row in scores.items()]
        met += verdicts(name, wrong, scores)
    write("controlled.md", report(given, minutes, equations, rows, met))
    bridged = {name: one for name, one in learnt.items() if len(EQUATIONS[name].noise) == 1}
    lasting = {name: unit(one, tested[name])[2] for name, one in bridged.items()}
    draw(bridged, EQUATIONS, tested, lasting, BLOCK, RESULTS / "controlled.png")


def table(equation: Linear | Well, count: int, seed: int, stride: int = 1) -> Windows:
    """A path of the equation at uneven stamps, as windows."""
    random = np.random.default_rng(seed)
    stamps = (0.1 + random.exponential(0.3, count)).cumsum()
    values = equation.path(stamps, random)
    values[random.random(values.shape) >= equation.known] = np.nan
    names = dict(zip("abcd", values.T, strict=False))
    return series(pandas.DataFrame({"time": stamps, **names}), length=LENGTH, stride=stride)


def trained(
    name: str, equation: Linear | Well, given: argparse.Namespace
) -> tuple[System, tuple[float, float]]:
    """The run of one equation, and its minutes by the clock and of the processor."""
    out = given.runs / name.replace(" ", "-")
    source = table(equation, LEARNT, 0)
    torch.manual_seed(0)
    system = hush.systems.csde((len(equation.noise), LENGTH), substeps=SUBSTEPS[name])
    began = time.perf_counter(), time.process_time()
    rare = dict.fromkeys(("steps", "sample_every", "save_every"), STEPS[name])
    recipe = replace(system.recipe, **RECIPE, **rare)
    system = hush.train(system, source, out, recipe, show=False)
    took = out / "minutes.json"
    if not took.exists():
        spent = time.perf_counter() - began[0], time.process_time() - began[1]
        took.write_text(json.dumps([part / 60 for part in spent]))
    return system, tuple(json.loads(took.read_text()))


def unit(system: System, source: Windows) -> tuple[Tensor, Tensor, float]:
    """(mean, deviation) of the channels, and how long a sampling step is."""
    stamps = source.table.cells.frame["time"].to_numpy()
    return system.codec.mean, system.codec.deviation, float(np.median(np.diff(stamps)))


@torch.no_grad()
def recovered(system: System, equation: Linear | Well, source: Windows) -> tuple[float, float]:
    """Root mean squares of the errors of drift and diffusion over those of the true ones, at places
    of a path that was not learnt of which all is known."""
    mean, deviation, step = unit(system, source)
    record = source.read(range(len(source)))
    cond = system.codec.told({key: record[key] for key in ("series", "time")})
    denoiser, count = system.denoiser, system.denoiser.process.substeps
    noise = torch.zeros(len(source), len(mean), 1 + count * (LENGTH - 1))
    seen = denoiser.told(cond, noise)
    along = steps(seen, seen, count, denoiser.network.earlier, denoiser.network.later)
    laws = list(denoiser.network(along))
    found, scale = [], (deviation / step, deviation / step**0.5)
    for stamp in range(1, LENGTH - 1):
        there, x = seen.seen[..., stamp].all(1), seen.values[..., stamp]
        law = laws[1 + count * stamp](x)
        parts = x * deviation + mean, law.drift * scale[0], law.diffusion * scale[1]
        found.append([part[there] for part in parts])
    x, drift, diffusion = (torch.cat(part).double() for part in zip(*found, strict=True))
    true, noise = equation.drift(x), torch.tensor(equation.noise).double()
    pairs = (drift - true, true), (diffusion - noise, noise)
    return tuple((a.square().mean() / b.square().mean()).sqrt().item() for a, b in pairs)


def transitions(system: System, equation: Linear) -> str:
    """The slope of the mean and the variance after a while, over the exact ones."""
    said = []
    source = table(equation, 400, 2)
    for after in (0.3, 1.0):
        x = torch.linspace(-2.0, 2.0, 4001)
        series_of = torch.stack((x, torch.full_like(x, torch.nan)), 1).unsqueeze(1)
        stamps = torch.tensor([0.0, after / unit(system, source)[2]]).expand(len(x), 2)
        cond = {"series": series_of, "time": stamps}
        end = system.sample(len(x), cond, seed=3, batch=5000)[:, 0, 1].double()
        slope = (end * x).sum() / x.square().sum()
        shrunk = math.exp(-equation.matrix[0, 0] * after)
        rest = equation.noise[0] ** 2 / (2.0 * equation.matrix[0, 0]) * (1.0 - shrunk**2)
        spread = (end - slope * x).square().mean()
        said.append(f"Δ = {after}: {slope / shrunk:.3f}, {spread / rest:.3f}")
    return "; ".join(said)


def scattered(known: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Half of what is known between the ends, hidden."""
    hidden = torch.from_numpy(random.random(known.shape) < 0.5) & known
    hidden[..., [0, -1]] = False
    return hidden, hidden


def between(known: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Six stamps in the middle."""
    hidden = torch.zeros_like(known)
    hidden[..., BLOCK] = True
    return hidden & known, hidden


def ahead(known: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The same six, and nothing is told of what comes after them."""
    hidden = torch.zeros_like(known)
    hidden[..., BLOCK.start :] = True
    return between(known, random)[0], hidden


Way = Callable[[Tensor, np.random.Generator], tuple[Tensor, Tensor]]
HIDDEN: dict[str, Way] = {
    "half, at random": scattered,
    "six in the middle": between,
    "six, from before only": ahead,
}


def scored(system: System, equation: Linear | Well, source: Windows, way: str) -> tuple[float, ...]:
    """(CRPS, exact CRPS, mean absolute error of a line, share of the truth in the middle 90 % of
    the law) of what is hidden and known."""
    record = source.read(range(len(source)))
    truth, step = record["series"], unit(system, source)[2]
    judged, hidden = HIDDEN[way](~truth.isnan(), np.random.default_rng(5))
    given = truth.masked_fill(hidden, torch.nan)
    cond = {"series": given, "time": record["time"]}
    drawn = system.sample(SAMPLES * len(truth), cond, seed=1, batch=4000)
    drawn = drawn.unflatten(0, (SAMPLES, -1)).transpose(0, 1)
    crps = sample_crps(drawn.double(), truth.double(), fair=True)
    time_of = record["time"].double() * step
    exact = torch.stack([equation.crps(*row) for row in zip(time_of, given, truth, strict=True)])
    line = torch.stack([lined(*row) for row in zip(time_of, given, strict=True)])
    low, high = drawn.double().quantile(torch.tensor([0.05, 0.95]).double(), 1)
    inside = ((truth >= low) & (truth <= high)).double()
    parts = crps, exact, (line - truth.double()).abs(), inside
    return tuple(part[judged].mean().item() for part in parts)


def told(value: float) -> str:
    return f"{value:.4f}"


def verdicts(name: str, wrong: tuple, scores: dict[str, tuple[float, ...]]) -> list[str]:
    """What was asked, what came, and whether that is enough."""
    random, middle, before = scores.values()
    pairs = [
        ("error of the drift below 15 %", wrong[0], 0.15, "{:.1%}"),
        ("error of the diffusion below 15 %", wrong[1], 0.15, "{:.1%}"),
        ("CRPS below the line's error, at random", random[0] / random[2], 1.0, "{:.2f} of it"),
        ("CRPS below the line's error, in the middle", middle[0] / middle[2], 1.0, "{:.2f} of it"),
        ("CRPS at most 1.15 of the exact, at random", random[0] / random[1], 1.15, "{:.3f}"),
        ("CRPS at most 1.15 of the exact, in the middle", middle[0] / middle[1], 1.15, "{:.3f}"),
        ("both ends better than before only", middle[0] / before[0], 1.0, "{:.2f} of it"),
    ]
    return [
        f"| {name} | {asked} | {form.format(value)} | {'met' if value < limit else '**not met**'} |"
        for asked, value, limit, form in pairs
    ]


def report(
    given: argparse.Namespace,
    minutes: dict[str, tuple[float, float]],
    equations: list[str],
    rows: list[str],
    met: list[str],
) -> list[str]:
    """The tables."""
    spent = ", ".join(f"{n} {clock:.1f} ({own:.1f})" for n, (clock, own) in minutes.items())
    return [
        header("python benchmarks/controlled.py", given),
        "",
        f"Minutes of training by the clock (of the processor): {spent}.",
        "",
        "| equation | error of the drift | of the diffusion | transitions; shared noise |",
        "|---|---|---|---|",
        *equations,
        "",
        "| equation | hidden | CRPS | exact | line, MAE | in 90 % |",
        "|---|---|---|---|---|---|",
        *(f"{row} |" for row in rows),
        "",
        ASKED,
        "",
        "| equation | asked | got | |",
        "|---|---|---|---|",
        *met,
    ]


if __name__ == "__main__":
    main()

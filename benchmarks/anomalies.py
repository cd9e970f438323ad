"""Anomalies in brains: AnoDDPM's noise against white noise, an autoencoder and a blur.

    python benchmarks/anomalies.py [--runs runs/anomalies] [--steps 1500] [--threads 2]

Healthy are drawn heads (`brains.py`), anomalies dark discs of four sizes in the brains of other
heads, which training never saw. Two DDPMs of one network
and one recipe learn the healthy ones, with simplex and with white noise, and look at each picture
behind noise of 250 of 1000 steps. Everything is measured within the head. Writes
benchmarks/results/anomalies.md and anomalies.png; a run that is there goes on, or is used.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib
import torch
from brains import SIDE, Heads, heads
from measure import RESULTS, half, header, write
from torch import Tensor

import hush
from hush.data import InMemory
from hush.evaluation import (
    answers,
    auroc,
    best_threshold,
    blur_residual,
    dice,
    difference,
    fit_autoencoder,
    interval,
)
from hush.networks import Backbone, lowered
from hush.samplers.grids import Chain
from hush.system import System
from hush.systems.anoddpm import anoddpm
from hush.tasks.detect import Anomalies, Detect

HEALTHY, EACH = 4000, 40
SIZES = {"tiny": 1.0, "small": 2.0, "middle": 4.0, "large": 6.0}  # radii in pixels
SMALL = Backbone(width=32, multipliers=(1, 2, 2), blocks=1, attention=(2,), dropout=0.0)
RECIPE = {"batch": 16, "learning_rate": 1e-3, "warmup": 100, "decay": "cosine", "ema": 0.995}
FIND = Detect(depth=0.25, steps=25, repeats=4)
ALARMS = 0.02  # share of healthy heads that the second threshold lets pass as anomalous
MODELS = "simplex", "white"
METHODS = (*MODELS, "autoencoder", "blur")
BIG = "middle", "large"


def main() -> None:
    """Train, look, measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/anomalies"))
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    sets = {"healthy": heads(EACH, 1), **{n: heads(EACH, 2, r) for n, r in SIZES.items()}}
    found = {name: look(given.runs, name, given.steps, sets) for name in MODELS}
    maps = {name: {key: one.map for key, one in each.items()} for name, each in found.items()}
    plain = fit_autoencoder(heads(HEALTHY, 0).pictures)
    maps["autoencoder"] = {
        key: difference(one.pictures, answers(plain, one.pictures)) ** 2
        for key, one in sets.items()
    }
    maps["blur"] = {key: blur_residual(one.pictures) for key, one in sets.items()}
    minutes = {name: float((given.runs / f"{name}.minutes").read_text()) for name in MODELS}
    given.rounds, given.device = 1, "cpu"
    how = f"python benchmarks/anomalies.py --steps {given.steps}"
    write("anomalies.md", [header(how, given), "", *report(sets, maps, minutes)])
    draw(sets, found, maps)


def trained(runs: Path, name: str, steps: int) -> System:
    """One of the two models; one that is whole is read."""
    torch.manual_seed(0)
    system = replace(anoddpm((1, SIDE, SIDE), backbone=SMALL, noise=name), grid=Chain(20))
    rare = {"sample_every": 10**6, "save_every": 250, "workers": 1}
    source = InMemory(heads(HEALTHY, 0).pictures, name="heads")
    how = {"steps": steps, "precision": half(), **RECIPE, **rare}
    clock, began = runs / f"{name}.minutes", time.perf_counter()
    system = hush.train(system, source, runs / name, **how)
    before = float(clock.read_text()) if clock.exists() else 0.0
    clock.write_text(str(before + (time.perf_counter() - began) / 60))
    last = json.loads((runs / name / "metrics.jsonl").read_text().splitlines()[-1])
    if last["step"] < steps:
        raise SystemExit(f"{name} was stopped; the same command goes on.")
    return system


def look(runs: Path, name: str, steps: int, sets: dict[str, Heads]) -> dict[str, Anomalies]:
    """What a model finds in each set; kept beside its run."""
    kept = runs / f"{name}-{steps}-{FIND.steps}x{FIND.repeats}.pt"
    if not kept.exists():
        system, found = trained(runs, name, steps), {}
        for key, one in sets.items():
            with lowered(system.denoiser.network, half(), torch.device("cpu")):
                saw = FIND(system, one.pictures)
            found[key] = {"reconstruction": saw.reconstruction, "map": saw.map}
        torch.save(found, kept)
    return {key: Anomalies(**one) for key, one in torch.load(kept, weights_only=True).items()}


def report(
    sets: dict[str, Heads], maps: dict[str, dict[str, Tensor]], minutes: dict[str, float]
) -> list[str]:
    """Both tables, and what was to be shown."""
    areas = {key: inside(one.truth, one) for key, one in sets.items()}
    scores = {m: {key: inside(maps[m][key], sets[key]) for key in sets} for m in METHODS}
    ranks = {m: {size: ranked(scores[m][size], areas[size]) for size in SIZES} for m in METHODS}
    taught = ", ".join(f"{name} {spent:.1f}" for name, spent in minutes.items())
    return [
        f"Minutes of training: {taught}. {EACH} heads of each size; intervals of 95 %.",
        "",
        "AUROC of the pixels of a head, the mean over heads:",
        "",
        *table(lambda method, size: told(ranks[method][size])),
        "",
        "Dice, at the threshold that is best for a method and size / at the one that takes "
        f"{100 * ALARMS:g} % of healthy heads for anomalous:",
        "",
        *table(lambda m, size: found_at(scores[m], areas, size)),
        "",
        *claims(ranks),
    ]


def inside(values: Tensor, of: Heads) -> list[Tensor]:
    """The values of each picture at the pixels of its head."""
    return [one[head] for one, head in zip(values, of.head, strict=True)]


def ranked(scores: list[Tensor], truth: list[Tensor]) -> Tensor:
    """The AUROC of each picture that shows an anomaly."""
    pairs = zip(scores, truth, strict=True)
    return torch.tensor([auroc(score, true) for score, true in pairs if true.any()])


def found_at(scores: dict[str, list[Tensor]], truth: dict[str, list[Tensor]], size: str) -> str:
    """Dice at both thresholds."""
    best = best_threshold(torch.cat(scores[size]), torch.cat(truth[size]))
    healthy = torch.cat(scores["healthy"]).quantile(1.0 - ALARMS).item()
    both = []
    for threshold in (best, healthy):
        pairs = zip(scores[size], truth[size], strict=True)
        each = [dice((score >= threshold)[None], true[None]) for score, true in pairs if true.any()]
        both.append(told(torch.cat(each)))
    return " / ".join(both)


def told(each: Tensor) -> str:
    low, high = interval(each)
    return f"{each.mean():.3f} ({low:.3f}-{high:.3f})"


def table(cell: Callable[[str, str], str]) -> list[str]:
    """A row for each method, a column for each size."""
    names = [f"{size} (r = {radius:g})" for size, radius in SIZES.items()]
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(SIZES) + 1) + "|"]
    return lines + [f"| {m} | {' | '.join(cell(m, size) for size in SIZES)} |" for m in METHODS]


def claims(ranks: dict[str, dict[str, Tensor]]) -> list[str]:
    """The acceptance of AnoDDPM, each part of it with its difference, picture by picture."""
    wanted = [("simplex", "white", "large")]
    wanted += [
        (m, other, size) for m in MODELS for other in ("autoencoder", "blur") for size in BIG
    ]
    lines = ["Better by AUROC, of the same pictures:", ""]
    for better, other, size in wanted:
        gain = ranks[better][size] - ranks[other][size]
        low, high = interval(gain)
        verdict = "met" if low > 0.0 else "not met" if high < 0.0 else "not decided"
        lines.append(
            f"- {better} over {other}, {size}: {gain.mean():+.3f} ({low:+.3f} to {high:+.3f}), "
            f"{verdict}"
        )
    return lines


def draw(
    sets: dict[str, Heads],
    found: dict[str, dict[str, Anomalies]],
    maps: dict[str, dict[str, Tensor]],
) -> None:
    """Two heads of each size: the picture, what both models made of it, all maps, the truth. A map
    is shown up to the value that one pixel in a hundred of healthy heads passes."""
    matplotlib.use("agg")
    from matplotlib import pyplot

    titles = ["picture", "simplex", "white", *(f"map, {m}" for m in METHODS), "truth"]
    rows = [(key, number) for key in sets for number in (0, 5)]
    figure, axes = pyplot.subplots(len(rows), len(titles), figsize=(9.6, 12.4))
    tops = {m: torch.cat(inside(maps[m]["healthy"], sets["healthy"])).quantile(0.99) for m in maps}
    for line, (key, number) in zip(axes, rows, strict=True):
        seen = [sets[key].pictures[number], *(found[m][key].reconstruction[number] for m in MODELS)]
        seen += [maps[m][key][number] / tops[m] for m in METHODS]
        for axis, image in zip(line, [*seen, sets[key].truth[number].float()], strict=True):
            axis.imshow(image[0], "gray", vmin=0.0, vmax=1.0)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(key)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=8)
    figure.tight_layout(pad=0.3)
    figure.savefig(RESULTS / "anomalies.png", dpi=100)


if __name__ == "__main__":
    main()

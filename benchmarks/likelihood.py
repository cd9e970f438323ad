"""Bits per dimension of held-out digits: every system that has a likelihood, on one small network.

    python benchmarks/likelihood.py [FOLDER] [--steps 1000]    # runs go to FOLDER, runs/likelihood

Trains (or goes on with) every system of the table below on the 1,438 digits of 17 grey levels that
are not held out, without their classes, all with the same U-Net, steps and optimiser; measures the
359 others; draws samples and judges them. Writes benchmarks/results/likelihood.md and a picture.
A FOLDER that holds the runs already only measures them; `--only NAME` trains one and stops.
"""

import argparse
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

import hush
from hush.data import Source, digits, grid, save, split
from hush.evaluation import Estimate, fit_classifier, histogram, judge, likelihood
from hush.evaluation.likelihood import Method
from hush.networks import Backbone
from hush.system import System
from hush.systems.analytic_dpm import retold

RECIPE = {
    "batch": 64,
    "learning_rate": 2e-3,
    "warmup": 100,
    "decay": "cosine",
    "ema": 0.995,
    "held_out": 0.2,
    "sample_every": 10**9,
    "save_every": 500,
}
SMALL = Backbone(width=32, multipliers=(1, 2), blocks=1, attention=(1,), dropout=0.0)
COUNT = 720  # samples that are judged
FEW = (10, 25, 50)  # steps of the chain for which variances are compared

Made = Callable[[Source], System]
s = hush.systems
SYSTEMS: dict[str, tuple[Made, Method, int | None]] = {  # how it is made, measured, and walked
    "ddpm": (lambda d: s.ddpm(d.shape, backbone=SMALL), "bound", 100),
    "improved_ddpm, β̃": (lambda d: _improved(d, variance="small"), "bound", None),
    "improved_ddpm": (lambda d: _improved(d), "bound", None),
    "improved_ddpm, L_vlb": (lambda d: _improved(d, loss="bound"), "bound", None),
    "score_sde": (lambda d: s.score_sde(d.shape, backbone=SMALL), "continuous", 100),
    "scoreflow": (lambda d: s.scoreflow(d.shape, backbone=SMALL), "continuous", 100),
    "vdm": (lambda d: s.vdm(d.shape, backbone=SMALL, levels=d.levels), "continuous", 100),
    "energy": (lambda d: s.energy(d.shape, backbone=SMALL), "continuous", None),
    "ncsn": (lambda d: s.ncsn(d.shape, backbone=SMALL), "continuous", None),
    "d3pm, uniform": (lambda d: _tokens(d, "uniform"), "bound", 100),
    "d3pm, absorbing": (lambda d: _tokens(d, "absorbing"), "bound", 100),
    "d3pm, mask and replace": (lambda d: _tokens(d, "mask_and_replace"), "bound", 100),
    "d3pm, gaussian": (lambda d: _tokens(d, "gaussian"), "bound", 100),
    "ardm": (lambda d: s.ardm(d.shape, backbone=SMALL, levels=d.levels), "bound", None),
}


def _improved(data: Source, **how: str) -> System:
    return s.improved_ddpm(data.shape, backbone=SMALL, levels=data.levels, chain=1000, **how)


def _tokens(data: Source, kernel: str) -> System:
    return s.d3pm(data.shape, backbone=SMALL, levels=data.levels, kernel=kernel)


def main() -> None:
    """Train, measure, judge, write."""
    options = argparse.ArgumentParser()
    options.add_argument("folder", nargs="?", default="runs/likelihood", type=Path)
    options.add_argument("--steps", type=int, default=1000)
    options.add_argument("--only")
    given = options.parse_args()
    torch.set_num_threads(1)
    data = digits()
    train, test = split(data, RECIPE["held_out"], seed=0)
    for name in [given.only] if given.only else SYSTEMS:
        trained(name, data, given.folder, given.steps)
    if given.only:
        return
    models = {name: trained(name, data, given.folder, given.steps) for name in SYSTEMS}
    lines = variances(models, train, test)
    lines = [head(given.steps), "", *systems(train, test, given.folder, given.steps), "", *lines]
    results = Path(__file__).parent / "results" / "likelihood.md"
    results.write_text("\n".join(lines) + "\n")
    print(results.read_text())


def head(steps: int) -> str:
    """What was measured, when and on what."""
    return (
        f"Held-out digits (359, 17 levels, no classes), {steps} steps of batch 64, one seed; "
        f"{date.today()}, torch {torch.__version__}, {platform.machine()}, `python "
        "benchmarks/likelihood.py`. The first 16 samples of each system are in likelihood.png."
    )


def trained(name: str, data: Source, folder: Path, steps: int) -> System:
    """The run of a system, trained as far as it is not yet."""
    out = folder / name.replace(", ", "-").replace(" ", "-")
    if (out / "ema.safetensors").exists() and _finished(out, steps):
        return hush.load(out)
    torch.manual_seed(0)
    began = time.perf_counter()
    model = hush.train(SYSTEMS[name][0](data), data, out, steps=steps, show=False, **RECIPE)
    print(f"{name}: {steps} steps in {time.perf_counter() - began:.0f} s", flush=True)
    return model


def _finished(out: Path, steps: int) -> bool:
    return (out / "state" / f"{steps:09d}").exists()


def systems(train: Source, test: Source, folder: Path, steps: int) -> list[str]:
    """Bits per dimension and the judgement of samples, of every system, two at a time."""
    seen, unseen = (part.read(range(len(part))) for part in (train, test))
    baseline = histogram(seen["image"], unseen["image"], test.levels)
    rows = [f"| independent pixels | {_words(baseline)} | a histogram of each | | | |"]
    pictures = []
    with get_context("spawn").Pool(2) as pool:
        for row, drawn in pool.imap(partial(measured, folder=folder, steps=steps), SYSTEMS):
            rows.append(row)
            pictures.append(drawn)
            print(row, flush=True)
    samples = Path(__file__).parent / "results" / "likelihood.png"
    save(grid(torch.cat(pictures), 16), samples, overwrite=True)
    return [
        "| system | bits per dimension | how | by the flow | distance / floor | real or fake |",
        "|---|---|---|---|---|---|",
        *rows,
    ]


def measured(name: str, folder: Path, steps: int) -> tuple[str, torch.Tensor]:
    """One row of the table, and the first of the samples."""
    torch.set_num_threads(1)
    data = digits()
    train, test = split(data, RECIPE["held_out"], seed=0)
    seen, unseen = (part.read(range(len(part))) for part in (train, test))
    model = trained(name, data, folder, steps)
    _, method, walked = SYSTEMS[name]
    bits = likelihood(model, test, method)
    flow = likelihood(model, test, "flow") if method == "continuous" else None
    model = replace(model, grid=replace(model.grid, steps=walked)) if walked else model
    samples = model.sample(COUNT, seed=0)
    eye = fit_classifier(seen["image"], seen["label"], 10, seed=0)
    parts = (seen["image"], seen["label"], unseen["image"], unseen["label"])
    report = judge(samples, None, *parts, 10, data.levels, classifier=eye)
    row = (
        f"| {name} | {_words(bits)} | {method} | {_words(flow) if flow else ''} | "
        f"{report.ratio:.2f} | {100 * report.real_or_fake:.0f} % |"
    )
    return row, samples[:16]


def variances(models: dict[str, System], train: Source, test: Source) -> list[str]:
    """The bound of short chains with every choice of the reverse variance."""
    mean = models["ddpm"]
    told = {
        "ddpm, β̃": mean,
        "ddpm, β": _with(mean, hush.denoisers.variances.Unit()),
        "analytic_dpm (error)": retold(mean, train, "error"),
        "analytic_dpm (score)": retold(mean, train, "score"),
        "improved_ddpm, β̃": models["improved_ddpm, β̃"],
        "improved_ddpm, β": _with(models["improved_ddpm, β̃"], hush.denoisers.variances.Unit()),
        "improved_ddpm, learned": models["improved_ddpm"],
    }
    rows = []
    for name, model in told.items():
        bits = [_words(likelihood(model, test, "bound", steps=steps)) for steps in FEW]
        rows.append(f"| {name} | {' | '.join(bits)} |")
        print(rows[-1], flush=True)
    heads = " | ".join(f"{steps} steps" for steps in FEW)
    return [f"| reverse variance | {heads} |", "|---" * (1 + len(FEW)) + "|", *rows]


def _with(model: System, variance: hush.denoisers.Variance) -> System:
    denoiser = hush.denoisers.GaussianDenoiser(
        model.denoiser.process, model.denoiser.network, model.denoiser.parameterisation, variance
    )
    return replace(model, denoiser=denoiser)


def _words(estimate: Estimate) -> str:
    return f"{estimate.bits:.3f} ± {estimate.error:.3f}"


if __name__ == "__main__":
    main()

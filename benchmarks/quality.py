"""How good a model is after equal pictures, and how soon it is good: hush beside diffusers.

    python benchmarks/quality.py [--rounds 3] [--part loss time] [--only NAME ...] [--length N ...]

loss   One U-Net of diffusers, with the same first weights, batches, learning rate, AdamW, clipping
       and averaging, learns to predict the noise of the linear chain: in diffusers' loop in
       float32, and in hush's trainer in float32 and bf16. Then the averaged weights' error of
       the noise on held-out digits, all at the same times with the same noise. A round is a seed:
       of the first weights, the batches and the noise learnt from.
time   Minutes of training steps, nothing else counted, until 1,437 samples are within 1.25 floors
       of the held-out digits in the features of one classifier (`hush.evaluation`). On one side
       the recipe of diffusers' script of unconditional training; DPM-Solver++ in 20 steps and DDIM
       in 50 both draw, the better counts. On the other `examples/digits.py`. A cosine ends where
       it was told to before, so several lengths are tried, each looked at at three quarters and at
       its end.

Each run is a process of its own. Rows are kept in `--kept` and a run that is there is not repeated,
so that all can be done piece by piece. Writes benchmarks/results/quality.md.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from statistics import mean

import torch
from diffusers import DDPMScheduler, UNet2DModel
from measure import header, options, write
from peers.learners import CASE, Diffusers, Hush, Script, first_network
from torch import Tensor, nn

import hush
from hush.data import batches, digits, split
from hush.denoisers import GaussianDenoiser
from hush.evaluation import fit_classifier, frechet, quantise, ratio_interval
from hush.evaluation.classifier import embed
from hush.interop.diffusers.networks import unet_from_diffusers
from hush.networks import Backbone
from hush.system import Recipe

PICTURES, BATCH = 16_384, 64  # of part "loss"
DRAWS = 40  # times at which each held-out digit is seen
TARGET = 1.25  # floors


def parted() -> tuple[hush.data.Source, hush.data.Source]:
    """The digits that are learnt from, and those held out: as training parts them."""
    return split(digits(), fraction=0.2, seed=0)


def loss_rows(seed: int) -> list[dict]:
    """Part "loss" of one seed: the same batches to each learner in turn, then their errors."""
    start, steps = first_network(seed), PICTURES // BATCH
    alike = {"learning_rate": 5e-4, "warmup": 0, "ema": 0.99, "weight_decay": 0.0, "batch": BATCH}
    script = Script(**alike, betas=(0.9, 0.999), decay="constant", power=None)
    learners: dict[str, Diffusers | Hush] = {"diffusers, float32": Diffusers(script, steps, seed)}
    for name, precision in (("hush, float32", "no"), ("hush, bf16", "bf16")):
        system = hush.systems.ddpm(CASE.shape, backbone=Backbone(width=32, multipliers=(1,)))
        network = unet_from_diffusers(start.config, start.state_dict()).requires_grad_()
        denoiser = GaussianDenoiser(system.denoiser.process, network)
        recipe = Recipe(steps=steps, precision=precision, seed=seed, **alike)
        learners[name] = Hush(replace(system, denoiser=denoiser), recipe)
    train, held_out = parted()
    for record in islice(batches(train, BATCH, seed), steps):
        for learner in learners.values():
            learner.learn(record)
    x_0 = 2.0 * held_out.read(range(len(held_out)))["image"] - 1.0
    found = {name: errors(learner.averaged, x_0) for name, learner in learners.items()}
    first = found["diffusers, float32"]
    return [
        {
            "name": name,
            "loss": each.mean().item(),
            "error": each.std().item() / len(each) ** 0.5,
            "ratio": (each.mean() / first.mean()).item(),
            "paired": ((each - first).std() / len(each) ** 0.5 / first.mean()).item(),
        }
        for name, each in found.items()
    ]


@torch.no_grad()
def errors(network: nn.Module, x_0: Tensor) -> Tensor:
    """The mean squared error of the noise of each picture, at DRAWS times: one in each part of the
    chain, where in the part differing from picture to picture."""
    if isinstance(network, UNet2DModel):
        network = unet_from_diffusers(network.config, network.state_dict())
    network.eval()
    alphas = DDPMScheduler(1000).alphas_cumprod
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(len(x_0), dtype=torch.float64)
    for draw in range(DRAWS):
        place = (torch.randperm(len(x_0), generator=generator) + 0.5) / len(x_0)
        t = ((draw + place) * 1000 / DRAWS).long()
        noise, level = torch.randn(x_0.shape, generator=generator), alphas[t].reshape(-1, 1, 1, 1)
        guess = network(level.sqrt() * x_0 + (1.0 - level).sqrt() * noise, t.float())
        total += (guess - noise).square().double().flatten(1).mean(1)
    return total / DRAWS


def demo(steps: int, seed: int, classes: bool = True, precision: str = "no") -> Hush:
    """The model of examples/digits.py, with or without its classes."""
    backbone = Backbone(width=32, multipliers=(1, 2), blocks=1, attention=(1,), dropout=0.0)
    names = digits().classes if classes else ()
    torch.manual_seed(seed)
    system = hush.systems.improved_ddpm(
        CASE.shape, names, backbone, 17, chain=1000, predict="v", variance="small"
    )
    recipe = Recipe(steps=steps, batch=64, learning_rate=2e-3, warmup=100, decay="cosine")
    recipe = replace(recipe, ema=0.995, seed=seed, precision=precision)
    return Hush(system, recipe, 1.1 if classes else None)


LIKE_DEMO = Script(batch=64, learning_rate=2e-3, warmup=100, ema=0.995, power=None)
CONTENDERS: Mapping[str, tuple[Callable[[int, int], Diffusers | Hush], tuple[int, ...]]] = {
    "diffusers' script": (partial(Diffusers, Script()), (2000, 4000)),
    "diffusers' script, the demo's rate and batch": (partial(Diffusers, LIKE_DEMO), (600,)),
    "hush, as its demo": (demo, (300, 450, 600)),
    "hush, as its demo, bf16": (partial(demo, precision="bf16"), (600,)),
    "hush, without classes": (partial(demo, classes=False), (600, 1200)),
}


def time_rows(name: str, steps: int) -> Iterator[dict]:
    """Part "time" of one contender and length, a row for each look until the target is met."""
    learner = CONTENDERS[name][0](steps, 0)
    train, held_out = parted()
    record, test = (part.read(range(len(part))) for part in (train, held_out))
    eye = fit_classifier(record["image"], record["label"], classes=10, seed=0)
    of_train, of_test = (embed(eye, part["image"]) for part in (record, test))
    floor, seconds = frechet(of_train, of_test), 0.0
    for step, batch in enumerate(islice(batches(train, learner.batch), steps), 1):
        began = time.perf_counter()
        learner.learn(batch)
        seconds += time.perf_counter() - began
        if step in (steps * 3 // 4, steps):
            drawn = {
                sampler: embed(eye, quantise(images, 17))
                for sampler, images in learner.draws(len(train))
            }
            each = {sampler: frechet(one, of_test) / floor for sampler, one in drawn.items()}
            best = min(each, key=each.__getitem__)
            low, high = ratio_interval(drawn[best], of_train, of_test)
            row = {"step": step, "seconds": seconds, "floors": each[best], "each": each}
            yield row | {"low": low, "high": high}
            if each[best] <= TARGET:
                return


def run(part: str, name: str, length: int, threads: int) -> list[dict]:
    """The rows of one run, in whatever process this is."""
    torch.set_num_threads(threads)
    return loss_rows(length) if part == "loss" else list(time_rows(name, length))


def loss_table(rows: list[dict]) -> list[str]:
    """The mean over the seeds of each learner's error, and its ratio to diffusers' seed by seed."""
    lines = [
        f"**Held-out error of the noise after {PICTURES:,} pictures** (batches of {BATCH}, "
        "learning rate 5e-4, betas .9, .999, no weight decay, clipping at 1, average .99 for all)",
        "",
        "| | error (standard error over digits) | over diffusers' (each seed) | standard error |",
        "|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["name"] for row in rows):
        keys = ("loss", "error", "ratio", "paired")
        loss, error, ratio, paired = ([r[k] for r in rows if r["name"] == name] for k in keys)
        each = ", ".join(f"{one:.3f}" for one in ratio)
        lines.append(
            f"| {name} | {mean(loss):.4f} ({mean(error):.4f}) | {mean(ratio):.3f} ({each}) "
            f"| {mean(paired):.3f} |"
        )
    return lines


def time_table(rows: list[dict]) -> list[str]:
    """What was seen of each contender and length, a row for each."""
    lines = [
        f"**Minutes of training to {TARGET} floors** (one seed)",
        "",
        "| | steps in all | step: floors | the last, the best (95 %) | minutes | met |",
        "|---|---|---|---|---|---|",
    ]
    runs = [(name, length) for name, (_, lengths) in CONTENDERS.items() for length in lengths]
    for name, length in runs:
        looks = [row for row in rows if (row["name"], row["length"]) == (name, length)]
        if not looks:
            continue
        seen = "; ".join(f"{look['step']}: {_each(look['each'])}" for look in looks)
        last, met = looks[-1], "yes" if looks[-1]["floors"] <= TARGET else "no"
        lines.append(
            f"| {name} | {length} | {seen} | {last['floors']:.2f} ({last['low']:.2f}-"
            f"{last['high']:.2f}) | {last['seconds'] / 60:.2f} | {met} |"
        )
    return lines


def _each(floors: dict[str, float]) -> str:
    """What each sampler reached, by name where there are several."""
    if len(floors) == 1:
        return f"{next(iter(floors.values())):.2f}"
    return ", ".join(f"{sampler} {value:.2f}" for sampler, value in floors.items())


def main() -> None:
    """Do the runs that are not kept yet, write the tables of all."""
    parser = options(__doc__, rounds=3)
    parser.add_argument("--part", choices=("loss", "time"), nargs="*", default=["loss", "time"])
    parser.add_argument("--only", nargs="*", default=list(CONTENDERS), help="contenders")
    parser.add_argument("--length", type=int, nargs="*", help="lengths, where not all")
    parser.add_argument("--kept", type=Path, default=Path("runs/quality.json"))
    given = parser.parse_args()
    rows = json.loads(given.kept.read_text()) if given.kept.exists() else []
    done = {(row["part"], row["of"], row["length"]) for row in rows}
    for part, of, length in jobs(given):
        if (part, of, length) in done:
            continue
        with ProcessPoolExecutor(1, get_context("spawn")) as apart:
            found = apart.submit(run, part, of, length, given.threads).result()
        rows += [{"part": part, "of": of, "length": length, "name": of, **row} for row in found]
        given.kept.parent.mkdir(parents=True, exist_ok=True)
        given.kept.write_text(json.dumps(rows, indent=1))
    lines = [header("python benchmarks/quality.py", given)]
    for part, table in (("loss", loss_table), ("time", time_table)):
        if of_part := [row for row in rows if row["part"] == part]:
            lines += ["", *table(of_part)]
    write("quality.md", lines)


def jobs(given: argparse.Namespace) -> list[tuple[str, str, int]]:
    """(part, contender, seed or length) of what was asked for."""
    losses = [("loss", "all", seed) for seed in range(given.rounds)]
    chosen = [(name, length) for name in given.only for length in CONTENDERS[name][1]]
    times = [("time", *one) for one in chosen if not given.length or one[1] in given.length]
    return (losses if "loss" in given.part else []) + (times if "time" in given.part else [])


if __name__ == "__main__":
    main()

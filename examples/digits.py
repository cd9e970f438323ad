"""The first hour of hush, in minutes: train on digits, draw new ones, judge them.

    python examples/digits.py [FOLDER]

Leaves in FOLDER (runs/demo): samples beside real digits, the way into the noise and out of it, the
loss curve, and the report it prints.
"""

import json
import sys
import time
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

import hush
from hush.data import Source, digits, grid, save, split, strip
from hush.evaluation import judge, print_report
from hush.networks import Backbone
from hush.rng import Streams
from hush.samplers import Multistep
from hush.samplers.grids import Chain

SEED = 0
STEPS = 1200
DRAWN = 1440  # samples that are judged: 144 of each digit


def main() -> None:
    """Train (or go on where an earlier call stopped), draw, judge, and leave the pictures."""
    out, started = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo"), time.perf_counter()
    data = digits()
    train, test = split(data, fraction=0.2, seed=SEED)  # the same parts that training makes
    torch.manual_seed(SEED)
    backbone = Backbone(width=32, multipliers=(1, 2), blocks=1, attention=(1,), dropout=0.0)
    model = hush.systems.improved_ddpm(
        data.shape, data.classes, backbone, data.levels, chain=1000, predict="v", variance="small"
    )
    model = hush.train(
        model,
        data,
        out,
        steps=STEPS,
        batch=64,
        learning_rate=2e-3,
        warmup=100,
        decay="cosine",
        ema=0.995,
        held_out=0.2,
        sample_every=400,
        seed=SEED,
    )
    walker = {"sampler": Multistep(order=2), "grid": Chain(20), "guidance": 1.1, "seed": SEED}
    drawn = model.sample(DRAWN, **walker)
    labels = torch.arange(DRAWN) % len(data.classes)
    draw_pictures(out, model, test, drawn, walker)
    draw_losses(out)
    parts = [part.read(range(len(part))) for part in (train, test)]
    report = judge(
        drawn,
        labels,
        *(record[key] for record in parts for key in ("image", "label")),
        classes=len(data.classes),
        levels=data.levels,
        seed=SEED,
    )
    console = Console()
    print_report(report, console)
    console.print(f"Pictures are in {out}; it took {time.perf_counter() - started:.0f} s.")


def draw_pictures(out: Path, model: hush.System, test: Source, drawn: Tensor, walker: dict) -> None:
    """Samples beside real digits, and one digit of each kind into the noise and out of it."""
    record = test.read(range(len(test)))
    by_class = record["label"].argsort(stable=True)
    real = torch.stack(
        [record["image"][by_class[record["label"][by_class] == k][:10]] for k in range(10)], 1
    ).flatten(0, 1)
    beside = torch.cat((grid(drawn[:100], 10), grid(real, 10)), -1)
    save(beside, out / "samples-and-real.png", overwrite=True)

    process = model.denoiser.process
    x_0, rng = model.codec.encode(real[:10]), Streams.of(SEED, 10)
    times = torch.linspace(0, 1, 12, dtype=torch.float64)
    noised = [process.marginal(x_0, t.item()).sample(rng) for t in times]
    save(strip([model.codec.decode(x) for x in noised]), out / "noising.png", overwrite=True)
    walk = [model.codec.decode(state.x) for state in model.walk(10, **walker)]
    save(strip(walk[::2]), out / "denoising.png", overwrite=True)


def draw_losses(out: Path) -> None:
    """The training loss of every report and the held-out loss, over the steps."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    figure, axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")
    for key, label in (("loss", "training"), ("held_out/mean", "held out (averaged weights)")):
        points = [(line["step"], line[key]) for line in lines if key in line]
        axes.plot(*zip(*points, strict=True), label=label, marker="o", markersize=3)
    axes.set(xlabel="step", ylabel="loss (squared error of v)", ylim=(0, None))
    axes.legend()
    figure.savefig(out / "loss.png", dpi=150)


if __name__ == "__main__":
    main()

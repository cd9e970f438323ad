"""What noise before a stage hides: digits 4x4 made 8x8, of a poor model's and of real ones.

    python benchmarks/cascade.py [--steps 1000] [--poor 150] [--runs runs/cascade] [--threads 1]

Of scikit-learn's digits four fifths are learnt from. A `ddpm` learns their 4x4 means, in far too
few steps (`--poor`). One stage of `cascade` learns to make 8x8 of 4x4 that are noised to levels up
to 0.5 and told, another of 4x4 as they are (loudest 0). Then 359 digits are drawn from nothing by
`hush.tasks.cascaded`, three seeds of them, at growing levels; and the 359 held-out 4x4 are
enlarged.

The distance is Fréchet's in the features of a classifier of the digits that were learnt from, to
those held out, in floors: that of the digits learnt from is 1, and so is a perfect model's; what is
made of the held-out ones themselves is to be near 0. Trained runs stay in `--runs` and are not
repeated. Writes benchmarks/results/cascade.md and cascade.png: a line of what the poor model drew,
and below what the stage without augmentation makes of it, and the other at levels 0, 0.2 and 0.5.
"""

from argparse import Namespace
from functools import partial
from pathlib import Path
from statistics import mean, stdev

import torch
from measure import RESULTS, header, options, write
from PIL import Image
from torch import Tensor
from torch.nn import functional

import hush
from hush.data import InMemory, digits, grid, save, split
from hush.evaluation import fit_classifier, frechet
from hush.evaluation.classifier import embed
from hush.networks import Backbone
from hush.rng import Streams
from hush.samplers import Multistep
from hush.systems.cascade import cascade
from hush.tasks import cascaded
from hush.training.run import Run

SMALL = Backbone(width=16, multipliers=(1, 2), blocks=1, attention=(), dropout=0.0)
LEVELS, SEEDS, SHOWN = (0.0, 0.1, 0.2, 0.4), (0, 1, 2), 20
MOTION = {"sampler": Multistep(), "grid": 15, "batch": 512}
Record = dict[str, Tensor]


def trained(name: str, model: hush.System, data: InMemory, steps: int, runs: Path) -> hush.System:
    """The system of a run, which is made if it is not there."""
    recipe = {"steps": steps, "batch": 64, "learning_rate": 2e-3, "warmup": 50, "ema": 0.995}
    recipe |= {"decay": "cosine", "held_out": 0.02, "sample_every": steps}
    model = hush.train(model, data, runs / name, show=False, **recipe)
    if max(Run(runs / name).checkpoints()) < steps:
        raise SystemExit(f"{name} was stopped before its last step: run again to go on.")
    return model


def chains(large: InMemory, given: Namespace) -> dict[str, hush.System]:
    """The model that draws 4x4, and two stages."""
    small = InMemory(functional.avg_pool2d(large.images, 2), name="small digits")
    torch.manual_seed(0)
    model = hush.systems.ddpm(small.shape, (), SMALL)
    made = {"poor": trained("poor", model, small, given.poor, given.runs)}
    for name, loudest in (("stage", 0.5), ("plain", 0.0)):
        torch.manual_seed(0)
        model = cascade(large.shape, 2, SMALL, loudest=loudest)
        made[name] = trained(name, model, large, given.steps, given.runs)
    return made


class Measure:
    """Distances of what stages make of the model's pictures and of the real ones."""

    def __init__(self, made: dict[str, hush.System], train: Record, test: Record) -> None:
        eye = fit_classifier(train["image"], train["label"], 10, seed=1)
        self.made, self.space = made, partial(embed, eye)
        self.known = self.space(test["image"])
        self.floor = frechet(self.space(train["image"]), self.known)
        self.small = functional.avg_pool2d(test["image"], 2)

    def row(self, name: str, stage: str, level: float) -> str:
        """Of the poor model and of real digits."""
        count, last = len(self.small), self.made[stage]
        told = [last.task.asked(self.small, Streams.of(seed, count), level) for seed in SEEDS]
        chain = (self.made["poor"], last)
        drawn = [cascaded(chain, count, seed, level, **MOTION) for seed in SEEDS]
        real = [last.sample(count, cond, seed=seed, **MOTION) for seed, cond in enumerate(told)]
        return f"| {name} | {' | '.join(map(self.cell, (drawn, real)))} |"

    def cell(self, several: list[Tensor]) -> str:
        far = [frechet(self.space(drawn), self.known) / self.floor for drawn in several]
        return f"{mean(far):.2f} ± {stdev(far):.2f}"


def main() -> None:
    parser = options(__doc__ or "", rounds=len(SEEDS), threads=1)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--poor", type=int, default=150)
    parser.add_argument("--runs", type=Path, default=Path("runs/cascade"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    train, test = (part.read(range(len(part))) for part in split(digits(), 0.2, seed=0))
    made = chains(InMemory(train["image"], levels=17, name="digits"), given)
    measure = Measure(made, train, test)
    lines = ["| what the stage is given | of the poor model | real |", "|---|---|---|"]
    ways = [("as it is, by a stage without augmentation", "plain", 0.0)]
    ways += [(f"at level {level:g}", "stage", level) for level in LEVELS]
    for way in ways:
        lines.append(measure.row(*way))
        print(lines[-1], flush=True)
    top = header("benchmarks/cascade.py", given)
    write("cascade.md", [top, "", *said(given, measure.floor), *lines])
    shown(made)


def said(given: Namespace, floor: float) -> list[str]:
    return [
        f"Digits 4x4, drawn by a model of {given.poor} steps or real, made 8x8 by "
        f"a stage of {given.steps}: the Fréchet distance in features, in floors to those held "
        f"out (the floor, {floor:.3g}, is a perfect model's), mean and deviation of {len(SEEDS)} "
        "seeds. What is made of real ones is made of the means of those held out.",
        "",
    ]


def shown(made: dict[str, hush.System]) -> None:
    """What the poor model drew, and what became of it."""
    small = made["poor"].sample(SHOWN, seed=0, **MOTION)
    rows = [functional.interpolate(small, scale_factor=2, mode="nearest")]
    for stage, level in (("plain", 0.0), ("stage", 0.0), ("stage", 0.2), ("stage", 0.5)):
        rows.append(cascaded((made["poor"], made[stage]), SHOWN, 0, level, **MOTION))
    path = RESULTS / "cascade.png"
    save(grid(torch.cat(rows), SHOWN), path, overwrite=True)
    picture = Image.open(path)
    picture.resize((4 * picture.width, 4 * picture.height), Image.Resampling.NEAREST).save(path)


if __name__ == "__main__":
    main()

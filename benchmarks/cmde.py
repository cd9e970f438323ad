"""How y is noised decides what is drawn of x given y: CDE, CMDE and CDiffE on faces made larger.

    python benchmarks/cmde.py [--steps 700] [--runs runs/cmde] [--threads 2]

Of the faces of `small.py` (25x25, grey) 80 are learnt from, in their four crops of 24x24 and those
mirrored; 20 are held out. Each network is `cmde` with another speed of y, σ_y = 0 (CDE), 0.5 (CMDE)
and that of x (CDiffE), trained alike from the same weights, to make 24x24 of 6x6. Of each held-out
face 4 pictures are drawn, in 100 steps of reverse diffusion.

Consistency is how far the 6x6 means of what was drawn lie from the 6x6 that were given, a mean
square; PSNR is against the face itself, of each drawing and of the mean of the 4; the spread is the
standard deviation of the 4, pixel by pixel. Trained runs stay in `--runs` and are not repeated.
Writes benchmarks/results/cmde.md and cmde.png.
"""

import math
import time
from argparse import Namespace
from pathlib import Path

import torch
from measure import RESULTS, header, options, write
from PIL import Image
from small import faces
from torch import Tensor
from torch.nn import functional

import hush
from hush.data.source import InMemory
from hush.evaluation.pictures import consistency, psnr
from hush.networks import Backbone
from hush.samplers import ReverseDiffusion
from hush.samplers.grids import LogSNR
from hush.systems.cmde import cmde
from hush.training.run import Run

SIDE, FACTOR, DRAWS = 24, 4, 4
LOUDEST = float(SIDE)  # √dim
SPEEDS = {"CDE": 0.0, "CMDE": 0.5, "CDiffE": LOUDEST}
SMALL = Backbone(width=16, multipliers=(1, 2, 2), blocks=1, attention=(), dropout=0.1)
SHOWN = 8  # faces in the picture


def cropped() -> tuple[InMemory, Tensor]:
    """The pictures that are learnt from, and those held out."""
    learnt, held_out = faces()
    corners = [(top, left) for top in (0, 1) for left in (0, 1)]
    crops = torch.cat([learnt[:, :, i : i + SIDE, j : j + SIDE] for i, j in corners])
    return InMemory(torch.cat((crops, crops.flip(3))), name="faces"), held_out[:, :, :SIDE, :SIDE]


def trained(name: str, data: InMemory, given: Namespace) -> hush.System:
    """The system of a speed of y, from its run."""
    torch.manual_seed(0)
    model = cmde(data.shape, FACTOR, SMALL, LOUDEST, SPEEDS[name])
    recipe = {"steps": given.steps, "batch": 32, "learning_rate": 1e-3, "warmup": 100}
    recipe |= {"decay": "cosine", "ema": 0.998, "held_out": 0.01, "sample_every": given.steps}
    model = hush.train(model, data, given.runs / name.lower(), show=False, **recipe)
    if max(Run(given.runs / name.lower()).checkpoints()) < given.steps:
        raise SystemExit(f"{name} was stopped before its last step: run again to go on.")
    return model


def drawn(model: hush.System, low: Tensor) -> Tensor:
    """(draw, face, 1, 24, 24) of the 6x6 that are given."""
    count = DRAWS * len(low)
    cond = {"picture": model.task.prepared(low)}
    grid = LogSNR(100, 0.005)
    x = model.sample(count, cond, ReverseDiffusion(), grid, seed=1, batch=count)
    return x.reshape(DRAWS, len(low), *x.shape[1:])


def row(name: str, answers: Tensor, truth: Tensor, low: Tensor) -> str:
    """What was measured of the drawings (draw, face, …), with standard errors over the faces."""
    each = answers.flatten(0, 1)
    off = consistency(each, low.repeat(len(answers), 1, 1, 1), FACTOR)
    off = 1e4 * off.reshape(len(answers), -1).mean(0)
    near = psnr(each, truth.repeat(len(answers), 1, 1, 1)).reshape(len(answers), -1).mean(0)
    of_mean = psnr(answers.mean(0), truth)
    cells = [f"{v.mean():.2f} ({v.std() / len(v) ** 0.5:.2f})" for v in (off, near, of_mean)]
    spread = answers.var(0).mean().sqrt() if len(answers) > 1 else torch.zeros(())
    return f"| {name} | {' | '.join(cells)} | {spread:.4f} |"


def picture(rows: list[Tensor]) -> None:
    """One line of faces for each of the rows, enlarged."""
    lines = [torch.cat(list(line[:SHOWN, 0]), 1) for line in rows]
    grey = (torch.cat(lines).clamp(0.0, 1.0) * 255.0).round().byte()
    image = Image.fromarray(grey.numpy())
    size = (3 * image.width, 3 * image.height)
    image.resize(size, Image.Resampling.NEAREST).save(RESULTS / "cmde.png")


def main() -> None:
    """Train what is not trained yet, draw, measure."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--runs", type=Path, default=Path("runs/cmde"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    data, truth = cropped()
    low = functional.avg_pool2d(truth, FACTOR)
    began = time.perf_counter()
    answers = {name: drawn(trained(name, data, given), low) for name in SPEEDS}
    minutes = (time.perf_counter() - began) / 60
    enlarged = cmde((1, SIDE, SIDE), FACTOR, SMALL).task.prepared(low)
    lines = [
        header(f"python benchmarks/cmde.py --steps {given.steps}", given),
        "",
        f"{len(truth)} held-out faces, {DRAWS} drawings of each, {FACTOR} times larger; "
        f"{given.steps} training steps of 32; {minutes:.1f} minutes in all (less where runs were "
        "there). Standard errors over the faces.",
        "",
        "| | consistency, 10⁻⁴ | PSNR, dB | PSNR of the mean, dB | spread |",
        "|---|---|---|---|---|",
        *(row(f"{name}, σ_y = {SPEEDS[name]:g}", x, truth, low) for name, x in answers.items()),
        row("bicubic", enlarged.unsqueeze(0), truth, low),
        "",
        "cmde.png, from above: what is given, " + ", ".join(answers) + ", the faces.",
        f"The loudest noise of x is √dim = {math.sqrt(SIDE * SIDE):g}.",
    ]
    blocks = functional.interpolate(low, scale_factor=float(FACTOR))
    picture([blocks, *(x[0] for x in answers.values()), truth])
    write("cmde.md", lines)


if __name__ == "__main__":
    main()

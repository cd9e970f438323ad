"""Where the specks of srdiff come from: the same weights, walked in several ways.

    python benchmarks/specks.py [--runs runs/images]

Reads the run of `images.py --only "srdiff, x2"`. Each of 32 test patches is answered in 20 steps.
A speck is a pixel that is off by more than a quarter of the range; a heavy tail is one whose fourth
moment is large: E r⁴/(E r²)² of what is new, beyond the enlarged picture. Writes
benchmarks/results/images-specks.md and .png: what was given, each walk, the truth.
"""

from dataclasses import replace
from pathlib import Path

import small
import torch
from measure import RESULTS, half, header, options, write
from torch import Tensor

import hush
from hush.data import save, strip
from hush.evaluation import psnr
from hush.samplers import Ancestral, Multistep
from hush.samplers.grids import LogSNR
from hush.tasks.judged import Asked
from hush.tasks.judged.answered import drawn

COUNT, STEPS, SHOWN = 32, 20, 8


def line(name: str, answer: Tensor, asked: Asked) -> str:
    """A row of the table."""
    beyond, off = answer - asked.given, (answer - asked.truth).abs().amax(1)
    tail = beyond.pow(4).mean() / beyond.square().mean().square()
    figures = (1e3 * (off > 0.25).float().mean(), psnr(answer, asked.truth).mean(), beyond.std())
    return f"| {name} | {figures[0]:.2f} | {figures[1]:.2f} | {figures[2]:.4f} | {tail:.1f} |"


def main() -> None:
    """Walk, measure, write, draw."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/images"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    system = hush.load(given.runs / "srdiff-x2")
    test = small.patches()[1]
    asked = Asked.of(system.task, test[:: len(test) // COUNT][:COUNT])
    even, where_it_shows = replace(system.grid, steps=STEPS), LogSNR(STEPS)
    walks = {
        "second order, steps even in t": (Multistep(2), even),
        "second order, even in log-SNR": (Multistep(2), where_it_shows),
        "ancestral, η = ½, even in log-SNR": (Ancestral(0.5), where_it_shows),
        "ancestral, even in log-SNR": (Ancestral(), where_it_shows),
    }
    found = {
        name: drawn(system, asked, 1, sampler, grid=grid, precision=half())
        for name, (sampler, grid) in walks.items()
    }
    rows = [line(name, answer, asked) for name, answer in {**found, "truth": asked.truth}.items()]
    head = "| | specks, of 1000 pixels | PSNR, dB | deviation of what is new | its fourth moment |"
    how = header("python benchmarks/specks.py", given)
    write("images-specks.md", [how, "", head, "|---|---|---|---|---|", *rows])
    parts = [asked.given, *found.values(), asked.truth]
    shown = strip([part[:: COUNT // SHOWN] for part in parts], zoom=3)
    save(shown, RESULTS / "images-specks.png", overwrite=True)


if __name__ == "__main__":
    main()

"""Few steps on real digits: what `hush plan` finds beside the defaults and DDIM.

    python benchmarks/planned.py [--run runs/demo] [--evaluations 8 10] [--threads 2]

The run is what `make demo` leaves. The Fréchet distance is to all real digits, in the features of a
classifier trained on them, for several seeds of 1440 samples each, the same for every way; it
varies from seed to seed, so the table gives mean and range, and the planned way's difference from
hush's default, seed by seed.

Writes benchmarks/results/planned.md.
"""

from pathlib import Path

import torch
from measure import header, options, write
from torch import Tensor

import hush
from hush.app.choices import word
from hush.data import digits
from hush.evaluation.baselines import quantise
from hush.evaluation.classifier import embed, fit_classifier
from hush.evaluation.distances import frechet
from hush.samplers import Ancestral, Plan, default
from hush.samplers.grids import Chain, Given

SEEDS, COUNT, TRIED = range(6), 1440, 128


def main() -> None:
    """Plan, draw, measure, write."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--run", type=Path, default=Path("runs/demo"))
    parser.add_argument("--evaluations", type=int, nargs="+", default=[8, 10])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    model, data = hush.load(given.run), digits()
    record = data.read(range(len(data)))
    judge = fit_classifier(record["image"], record["label"], classes=10, seed=1)
    real = embed(judge, record["image"])

    def distances(sampler: hush.samplers.Sampler, grid: hush.samplers.grids.Grid) -> Tensor:
        found = []
        for seed in SEEDS:
            drawn = model.sample(COUNT, sampler=sampler, grid=grid, seed=seed)
            found.append(frechet(embed(judge, quantise(drawn, data.levels)), real))
        return torch.tensor(found)

    lines = [header("python benchmarks/planned.py", given)]
    for count in given.evaluations:
        best = model.plan(count, TRIED)[0]
        ways = {
            f"planned: {_words(best)}": (best.sampler, best.grid),
            "hush's default": default(count),
            "the system's own sampler": (model.sampler, Chain(count)),
            "DDIM": (Ancestral(0.0), Chain(count)),
        }
        found = {name: distances(*way) for name, way in ways.items()}
        lines += table(count, found)
    fine = distances(Ancestral(0.0), Chain(50))
    lines += ["", f"50 steps of DDIM: {_range(fine)}."]
    write("planned.md", lines)


def table(evaluations: int, found: dict[str, Tensor]) -> list[str]:
    """The ways of one number of evaluations, the planned one first."""
    lines = ["", f"**{evaluations} evaluations**", ""]
    lines += ["| way | mean (range) | less the planned, seed by seed |", "|---|---|---|"]
    planned = next(iter(found.values()))
    for name, each in found.items():
        gaps = each - planned
        spread = f"{gaps.mean():+.3f} ± {gaps.std() / len(gaps) ** 0.5:.3f}"
        lines.append(f"| {name} | {_range(each)} | {spread if each is not planned else ''} |")
    return lines


def _range(each: Tensor) -> str:
    return f"{each.mean():.3f} ({each.min():.3f}-{each.max():.3f})"


def _words(plan: Plan) -> str:
    grid = "a searched grid" if isinstance(plan.grid, Given) else word(plan.grid)
    return f"{word(plan.sampler)} on {grid}"


if __name__ == "__main__":
    main()

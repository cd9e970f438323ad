"""What `hush evaluate` says of a run that has memorised and of one that has not.

    python benchmarks/evaluated.py [--runs runs/evaluated]

One small network learns 20 digits, two of each kind, until it knows them by heart, and another all
but the 600 that are kept from both; each is judged by those 600. A run that is there is not learnt
again. Writes benchmarks/results/evaluated.md, and a page beside each run.
"""

from pathlib import Path

import torch
from measure import header, options, write
from torch import Tensor

import hush
from hush.data import digits, images, save
from hush.evaluation import Report
from hush.networks import Backbone

KEPT = 600  # digits that no run learns
FEW = 2  # of each kind, of the run that memorises
STEPS = 1500
SMALL = Backbone(width=16, multipliers=(1, 2), blocks=1, attention=(1,), dropout=0.0)
RECIPE = {"steps": STEPS, "batch": 32, "learning_rate": 2e-3, "warmup": 100, "decay": "cosine"}


def folders(home: Path) -> None:
    """The digits as files: `few` and `many` to learn from, `kept` to judge by."""
    whole = digits()
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(0))
    kept, many = order[:KEPT], order[KEPT:]
    labels = whole.labels[many]
    few = torch.cat([many[labels == kind][:FEW] for kind in range(10)])
    for name, places in (("kept", kept), ("many", many), ("few", few)):
        written(whole.images[places], whole.labels[places], home / name)


def written(pictures: Tensor, labels: Tensor, folder: Path) -> None:
    """Each picture in the subfolder of its class."""
    for number, (picture, label) in enumerate(zip(pictures, labels.tolist(), strict=True)):
        save(picture, folder / str(label) / f"{number:04d}.png", overwrite=True)


def judged(home: Path, name: str) -> Report:
    """A run on the folder of that name, judged by what was kept."""
    data, run = images(home / name), home / f"run-{name}"
    torch.manual_seed(0)
    model = hush.systems.improved_ddpm(
        data.shape, data.classes, SMALL, data.levels, chain=1000, predict="v", variance="small"
    )
    hush.train(model, data, run, ema=0.99, sample_every=500, show=False, **RECIPE)
    report = hush.evaluate(run, str(home / "kept"))
    report.save(home / f"{name}.html")
    return report


def main() -> None:
    """Learn, judge, write."""
    parser = options(__doc__, rounds=1, threads=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/evaluated"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    folders(given.runs)
    lines = [header("python benchmarks/evaluated.py", given)]
    for name, says in (("few", "20 digits, by heart"), ("many", "1,197 digits")):
        report = judged(given.runs, name)
        lines += ["", f"## A run on {says}", "", "| | | |", "|---|---|---|"]
        lines += [f"| {one.question} | {one.state} | {one.says} |" for one in report.verdicts]
        lines += ["", "| what | value | how to read it |", "|---|---|---|"]
        lines += [f"| {' | '.join(line)} |" for line in report.lines()]
    write("evaluated.md", lines)


if __name__ == "__main__":
    main()

"""What a network has learnt inside, put to use: segmentation and change from few labels.

    python benchmarks/features.py [--runs runs/features] [--rounds 3] [--part NAME]

segment  [S39] a `ddpm` of pictures without labels, then 10 labelled ones: its features beside those
         of pixels, of principal components and of an autoencoder, and at single noise levels.
change   [S41] the same network's features of two dates, 40 and 10 labelled pairs.
ddep     [S38] an encoder that tells shapes, a decoder that knows one noise level, 1 to 20 labels.

What is trained, and every row, is kept in the folder, so that all can be done piece by piece;
`--part` does one part and writes nothing. A round is a draw of what is labelled. Scenes of training
and of test lie on disjoint halves of the photographs. Writes benchmarks/results/features.md and
features.png.
"""

import json
from collections.abc import Callable
from functools import cache, partial
from itertools import product
from pathlib import Path

import learnt
import torch
from compared import COUNTS, DECODERS, LABELLED, PAIRS, SIGMAS, SWEPT, TIMES, Table
from measure import RESULTS, header, options, write
from scenes import CLASSES, Pairs, pairs, scenes
from torch import Tensor
from torch.nn import functional

from hush.data import grid, save
from hush.system import System
from hush.tasks.change import ChangeDetector, apart, chances, fit_change, fit_head
from hush.tasks.features import Look, describe
from hush.tasks.fine_tune import fine_tune
from hush.tasks.segment import Segmenter, fit_ensemble, fit_segmenter

TESTED = 200
COLOURS = (
    (40, 40, 40),
    (230, 60, 60),
    (70, 130, 230),
    (240, 200, 40),
    (60, 190, 90),
    (200, 90, 220),
)
Kept = Callable[[str, Callable[[], float]], None]


def segment(runs: Path, rounds: int, kept: Kept) -> None:
    """mIoU of ensembles on the features of everybody, and on ours at single times."""
    model = learnt.generator(runs)
    ways: dict[str, learnt.Describe] = {
        "ddpm": partial(describe, model),
        "random network": partial(describe, learnt.untrained()),
        "autoencoder": learnt.decoded(learnt.autoencoder(runs)),
        "principal components": learnt.principal(),
        "pixels": learnt.neighbourhood,
    }
    ways |= {f"t = {t:g}": partial(describe, model, look=Look((t,))) for t in TIMES}
    test = scenes(TESTED, 0, "test")
    for name, way in ways.items():
        seen = cache(lambda way=way: way(test.pictures))
        for draw in range(rounds):
            kept(f"segment/{name}/{draw}", partial(_segmented, way, seen, test.masks, draw))


def _segmented(way: learnt.Describe, seen: Callable[[], Tensor], truth: Tensor, draw: int) -> float:
    few = scenes(LABELLED, 100 + draw, "train")
    head = fit_ensemble(way(few.pictures), few.masks, len(CLASSES), steps=600, seed=draw)
    return overlap(head.votes(seen()).argmax(1), truth)


def change(runs: Path, rounds: int, kept: Kept) -> None:
    """F1 of the same head on everybody's differences, and of a threshold on the pixels'."""
    ways: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "ddpm": partial(apart, learnt.generator(runs), look=Look()),
        "random network": partial(apart, learnt.untrained(), look=Look()),
        "pixels": lambda before, after: (before - after).abs(),
    }
    test = pairs(TESTED, 0, "test")
    for count, draw in product(PAIRS, range(rounds)):
        few = pairs(count, 100 + draw, "train")
        kept(f"change/threshold/{count}/{draw}", partial(_threshold, few, test))
        for name, way in ways.items():
            kept(f"change/{name}/{count}/{draw}", partial(_detected, way, few, test, draw))


def _detected(way: Callable[[Tensor, Tensor], Tensor], few: Pairs, test: Pairs, draw: int) -> float:
    head = fit_head(way(few.before, few.after), few.changed, steps=400, seed=draw)
    parts = zip(test.before.split(40), test.after.split(40), strict=True)
    return f1(torch.cat([chances(head, way(*part)) for part in parts]) > 0.5, test.changed)


def _threshold(few: Pairs, test: Pairs) -> float:
    """The level that parts the labelled pairs best."""
    near, far = ((part.before - part.after).abs()[:, 0] for part in (few, test))
    best = max(torch.linspace(0.02, 0.6, 59), key=lambda level: f1(near > level, few.changed))
    return f1(far > best, test.changed)


def pretraining(runs: Path, rounds: int, kept: Kept) -> None:
    """mIoU after fine-tuning on few labels, from decoders of several pasts."""
    models: dict[str, Callable[[], System]] = {"random": partial(learnt.recognising, runs)}
    for sigma in sorted(SIGMAS, key=lambda sigma: f"{sigma:g}" not in DECODERS.values()):
        models[f"{sigma:g}"] = partial(learnt.pretrained, runs, sigma)
    for name, build in models.items():
        model = build()
        for count in COUNTS if name in DECODERS.values() else (SWEPT,):
            for draw in range(rounds):
                kept(f"ddep/{name}/{count}/{draw}", partial(_tuned, model, count, draw))


def _tuned(model: System, count: int, draw: int) -> float:
    few, test = scenes(count, 200 + draw, "train"), scenes(TESTED, 0, "test")
    tuned = fine_tune(model, few.pictures, few.masks, CLASSES, steps=120, seed=draw, batch=8)
    return overlap(tuned(test.pictures)[0], test.masks)


PARTS = {"segment": segment, "change": change, "ddep": pretraining}


def overlap(found: Tensor, truth: Tensor) -> float:
    """mIoU: of every class what both say over what either says, averaged over the classes."""
    pairs_of = torch.bincount((truth * len(CLASSES) + found).flatten(), minlength=len(CLASSES) ** 2)
    table = pairs_of.reshape(len(CLASSES), -1).double()
    both = table.diagonal()
    return (both / (table.sum(0) + table.sum(1) - both)).mean().item()


def f1(found: Tensor, truth: Tensor) -> float:
    """2 × what both say over the sum of what each says."""
    found, truth = found.bool(), truth.bool()
    return (2 * (found & truth).sum() / (found.sum() + truth.sum())).item()


def keeper(path: Path) -> Kept:
    """What does a row's work unless its answer is kept already."""

    def kept(key: str, work: Callable[[], float]) -> None:
        rows = json.loads(path.read_text()) if path.exists() else {}
        if key not in rows:
            rows[key] = work()
            path.write_text(json.dumps(rows, indent=1))
            print(f"{key}: {rows[key]:.4f}", flush=True)

    return kept


def drawn(runs: Path) -> None:
    """features.png: pictures, truth, answer and share of votes; before, after, truth, chance."""
    model, few, some = (
        learnt.generator(runs),
        scenes(10, 100, "train"),
        pairs(PAIRS[0], 100, "train"),
    )
    if not (runs / "segmenter.safetensors").exists():
        fit_segmenter(model, few.pictures, few.masks, CLASSES, steps=600).save(runs)
        fit_change(model, *some, steps=400).save(runs)
    test, dates = scenes(16, 0, "test"), pairs(16, 0, "test")
    labels, share = Segmenter.load(runs, model)(test.pictures)
    chance = ChangeDetector.load(runs, model)(dates.before, dates.after)
    colours = torch.tensor(COLOURS) / 255.0
    rows = [
        _grey(test.pictures),
        colours[test.masks].movedim(-1, 1),
        colours[labels].movedim(-1, 1),
        _grey(share.unsqueeze(1)),
        _grey(dates.before),
        _grey(dates.after),
        _grey(dates.changed.unsqueeze(1).float()),
        _grey(chance.unsqueeze(1)),
    ]
    image = functional.interpolate(grid(torch.cat(rows), 16, zoom=1)[None], scale_factor=2.0)[0]
    save(image, RESULTS / "features.png", overwrite=True)


def _grey(x: Tensor) -> Tensor:
    return x.expand(-1, 3, -1, -1)


def main() -> None:
    """Train, measure, draw, write."""
    parser = options(__doc__, rounds=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/features"))
    parser.add_argument("--part", choices=PARTS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.runs.mkdir(parents=True, exist_ok=True)
    rows: dict[str, float] = {}
    for name in [given.part] if given.part else PARTS:
        path = given.runs / f"{name}.json"
        PARTS[name](given.runs, given.rounds, keeper(path))
        rows |= json.loads(path.read_text())
    if given.part is None:
        drawn(given.runs)
        first = header("python benchmarks/features.py", given)
        write("features.md", [first, *Table(rows, given.rounds).page()])


if __name__ == "__main__":
    main()

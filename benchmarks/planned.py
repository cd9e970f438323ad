"""Few steps on real digits: 10 evaluations on a planned grid beside 10, 20 and 50 DDIM steps.

    python benchmarks/planned.py [RUN]      # by default runs/demo, which `make demo` leaves

The Fréchet distance is to all real digits, in the features of a classifier trained on them, for
several seeds of 1440 samples each; it varies from seed to seed, so the table gives mean and range.
Writes benchmarks/results/planned.md.
"""

import sys
from pathlib import Path

import torch

import hush
from hush.data import digits
from hush.evaluation.baselines import quantise
from hush.evaluation.classifier import embed, fit_classifier
from hush.evaluation.distances import frechet
from hush.samplers import Ancestral, Multistep, default
from hush.samplers.grids import Chain, Given

SEEDS, COUNT, EVALUATIONS = range(4), 1440, 10


def main() -> None:
    """Plan, draw, measure, write."""
    torch.set_num_threads(2)
    model = hush.load(sys.argv[1] if len(sys.argv) > 1 else "runs/demo")
    data = digits()
    record = data.read(range(len(data)))
    judge = fit_classifier(record["image"], record["label"], classes=10, seed=1)
    real = embed(judge, record["image"])
    plans = model.plan(EVALUATIONS, count=128)
    best = plans[0]
    print(*plans[:5], sep="\n")
    ways = {
        f"planned: {_words(best)}": (best.sampler, best.grid),
        "hush default, 10": default(EVALUATIONS),
        "Multistep(2), 10 trailing": (Multistep(2), Chain(10)),
        **{f"DDIM, {n} trailing": (Ancestral(0.0), Chain(n)) for n in (10, 20, 50)},
    }
    rows = []
    for name, (sampler, grid) in ways.items():
        found = []
        for seed in SEEDS:
            drawn = model.sample(COUNT, sampler=sampler, grid=grid, seed=seed)
            found.append(frechet(embed(judge, quantise(drawn, data.levels)), real))
        rows.append((name, sum(found) / len(found), min(found), max(found)))
        print(rows[-1], flush=True)
    base = next(mean for name, mean, *_ in rows if name == "DDIM, 50 trailing")
    lines = ["| way | mean | range | of 50 DDIM steps |", "|---|---|---|---|"]
    lines += [f"| {n} | {m:.3f} | {a:.3f}-{b:.3f} | {m / base:.2f} |" for n, m, a, b in rows]
    text = f"# Planned walks on digits\n\n{__doc__.strip()}\n\n" + "\n".join(lines) + "\n"
    (Path(__file__).parent / "results" / "planned.md").write_text(text)


def _words(plan: hush.samplers.Plan) -> str:
    grid = "a searched grid" if isinstance(plan.grid, Given) else type(plan.grid).__name__
    return f"{type(plan.sampler).__name__}({plan.sampler.order}) on {grid}, {EVALUATIONS}"


if __name__ == "__main__":
    main()

"""Guidance on digits: what it buys and what it costs, at growing scale.

    python benchmarks/guided.py [RUN]      # by default runs/guided, trained in a few minutes

A small DDPM that knows its classes draws 1,000 digits, 100 of each, at every scale of guidance
without a classifier.
Class agreement is that of a classifier of the real digits; diversity the mean distance of
two samples of the same class in its features, as a share of the real digits'. Writes
benchmarks/results/guided.md and a picture beside the run.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor

import hush
from hush.data import digits, grid, save, split
from hush.evaluation.baselines import quantise
from hush.evaluation.classifier import Classifier, accuracy, embed, fit_classifier
from hush.guidance import ClassifierFree, Guidance, Interval
from hush.networks import Backbone
from hush.samplers import Multistep

SCALES, COUNT, STEPS = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0), 1000, 20
SMALL = Backbone(width=32, multipliers=(1, 2), blocks=1, attention=(1,), dropout=0.0)


def main() -> None:
    """Train if need be, draw, measure, write."""
    torch.set_num_threads(1)
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/guided")
    data = digits()
    if not (out / "ema.safetensors").exists():
        torch.manual_seed(0)
        model = hush.systems.ddpm(data.shape, data.classes, SMALL)
        recipe = {"steps": 1000, "batch": 64, "learning_rate": 2e-3, "warmup": 100, "ema": 0.995}
        hush.train(model, data, out, decay="cosine", held_out=0.2, show=False, **recipe)
    model = hush.load(out)
    train, _ = split(data, 0.2, seed=0)
    record = train.read(range(len(train)))
    eye = fit_classifier(record["image"], record["label"], classes=10, seed=1)
    whole = diversity(eye, record["image"], record["label"])
    ways: dict[str, Guidance] = {f"{scale:g}": ClassifierFree(scale) for scale in SCALES}
    ways["3, rescaled by 0.7"] = ClassifierFree(3.0, 0.7)
    ways["5, for 0.3 < σ/α < 5"] = Interval(ClassifierFree(5.0), 0.3, 5.0)
    lines = ["| scale | class agreement | diversity |", "|---|---|---|"]
    pictures = []
    for name, guidance in ways.items():
        images = model.sample(COUNT, sampler=Multistep(), grid=STEPS, seed=0, guidance=guidance)
        labels = torch.arange(COUNT) % 10
        images = quantise(images, data.levels)
        share = diversity(eye, images, labels) / whole
        agrees = accuracy(eye, images, labels)
        lines.append(f"| {name} | {100 * agrees:.1f} % | {share:.2f} |")
        print(lines[-1], flush=True)
        pictures.append(images[:20])
    plain = model.sample(20, sampler=Multistep(), grid=STEPS, seed=0)
    same = torch.equal(plain, model.sample(20, sampler=Multistep(), grid=STEPS, seed=0, guidance=1))
    lines += ["", f"Scale 1 and no guidance are the same bits: {same}."]
    save(grid(torch.cat(pictures), 20), out / "guided.png", overwrite=True)
    results = Path(__file__).parent / "results" / "guided.md"
    results.write_text("\n".join(lines) + "\n")


def diversity(eye: Classifier, images: Tensor, labels: Tensor) -> float:
    """The mean distance between two pictures of one class, in features, over the classes."""
    features = embed(eye, images)
    spread = []
    for label in labels.unique():
        own = features[labels == label]
        gaps = torch.cdist(own, own)
        spread.append(gaps.sum() / (len(own) * (len(own) - 1)))
    return torch.stack(spread).mean().item()


if __name__ == "__main__":
    main()

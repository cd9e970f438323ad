"""Latent diffusion: what an autoencoder keeps, and a chain in its latents beside one of pixels.

    python benchmarks/latent.py [--runs runs/latent] [--threads 2]

Grey patches of 32 by 32 of brick, grass and gravel, learnt from the upper parts of three
photographs and tested on the lower ones (`small.textures`). Two autoencoders, of numbers and of a
codebook, make 4 by 4 pixels one place; in the latents of each `ldm` learns the three classes, and
beside them `ddpm` does in the pixels, with a network of the same width, until it has taken as long
as the autoencoder and the chain in its latents together are given. Draws are told the classes in
turn. Distances are Fréchet in the features of `patch_space`, over that of the training patches to
the test patches. A run that is there goes on, or is used.

Writes benchmarks/results/latent.md and latent.png: real patches, there and back through each
autoencoder, what each draws, the prior of the first autoencoder, the chain of pixels.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import small
import torch
from measure import RESULTS, half, header, in_turn, options, write
from torch import Tensor

import hush
from hush.data import InMemory, save, strip
from hush.evaluation import fit_classifier, frechet, patch_space, psnr, ratio_interval
from hush.evaluation.classifier import accuracy
from hush.networks import Backbone
from hush.rng import Streams
from hush.samplers import Multistep
from hush.system import Recipe, System
from hush.systems.taken import Taken
from hush.training.trainer import Trainer
from hush.world import World

SHAPE = (1, 32, 32)
BACKBONE = Backbone(width=32, multipliers=(1, 2, 3), blocks=1, attention=(2,), dropout=0.0)
SIZES = {"width": 24, "multipliers": (1, 2, 2), "blocks": 1, "entries": 256, "critic": 16}
RATE = {"learning_rate": 1e-3, "warmup": 100, "decay": "cosine", "ema": 0.999, "workers": 1}
STEPS = {"autoencoder": 800, "ldm": 2000, "ddpm": 700}
BATCH = {"autoencoder": 16, "ldm": 16, "ddpm": 16}
KINDS = "kl", "vq"
DRAWN, SHOWN = 399, 9


def main() -> None:
    """Train what is not there, measure, write, draw."""
    parser = options(__doc__, rounds=5)
    parser.add_argument("--runs", type=Path, default=Path("runs/latent"))
    parser.add_argument("--adversarial", type=float, default=0.5)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    train, test = small.textures()
    labels = torch.arange(len(train)) % 3
    source = InMemory(train, labels, small.TEXTURES, levels=256, name="textures")
    systems, minutes = trained(source, given)
    space = patch_space(train)
    judge = Judge(space, space(train), test, fit_classifier(train, labels, 3))
    rows, shown = [], [test]
    for kind in KINDS:
        row, back = kept(kind, systems[f"autoencoder-{kind}"], systems[f"ldm-{kind}"], test, judge)
        rows.append(row)
        shown.append(back)
    drawn = {name: draws(systems[name]) for name in ("ldm-kl", "ldm-vq", "ddpm")}
    drawn["prior"] = prior(systems["autoencoder-kl"])
    shown += [drawn[name] for name in ("ldm-kl", "ldm-vq", "prior", "ddpm")]
    lines = report(given, judge, rows, drawn, minutes, speed(source, given))
    write("latent.md", lines)
    save(strip([part[:SHOWN] for part in shown], zoom=3), RESULTS / "latent.png", overwrite=True)


def trained(source: InMemory, given: argparse.Namespace) -> tuple[dict[str, System], dict]:
    """All runs by name, and the minutes each took to train."""
    made, minutes = {}, {}
    for kind in KINDS:
        name = f"autoencoder-{kind}"
        adversarial = given.adversarial
        first = hush.systems.autoencoder(SHAPE, kind, **SIZES, adversarial=adversarial)
        made[name], minutes[name] = run(name, first, source, given)
        second = hush.systems.ldm(SHAPE, source.classes, Taken.of(given.runs / name), BACKBONE)
        made[f"ldm-{kind}"], minutes[f"ldm-{kind}"] = run(f"ldm-{kind}", second, source, given)
    pixels = hush.systems.ddpm(SHAPE, source.classes, BACKBONE)
    made["ddpm"], minutes["ddpm"] = run("ddpm", pixels, source, given)
    return made, minutes


def run(
    name: str, system: System, source: InMemory, given: argparse.Namespace
) -> tuple[System, float]:
    """The run of one system, trained if it is not there."""
    began, out = time.perf_counter(), given.runs / name
    system = hush.train(system, source, out, recipe(system), show=False)
    took = out / "minutes.json"
    if not took.exists():
        took.write_text(json.dumps((time.perf_counter() - began) / 60))
    return system, json.loads(took.read_text())


def recipe(system: System) -> Recipe:
    """How each is trained, as far as it is not the other's way."""
    steps, batch = STEPS[system.name], BATCH[system.name]
    rare = {"sample_every": steps, "save_every": steps}
    return Recipe(steps=steps, batch=batch, precision=half(), **RATE, **rare)


class Judge:
    """How far what is drawn lies from the test patches, and how well it is of its class."""

    def __init__(self, space: Callable, floor: Tensor, test: Tensor, classifier: Any) -> None:
        self.space, self.floor, self.real = space, floor, space(test)
        self.test, self.classifier = test, classifier

    def distance(self, drawn: Tensor) -> tuple[float, str]:
        """In floors, and with its interval in words."""
        seen = self.space(drawn)
        low, high = ratio_interval(seen, self.floor, self.real)
        ratio = frechet(seen, self.real) / frechet(self.floor, self.real)
        return ratio, f"{ratio:.2f} ({low:.2f}-{high:.2f})"

    def of_class(self, drawn: Tensor) -> float:
        """The share that a classifier of real patches gives the class they were asked for."""
        return accuracy(self.classifier, drawn, torch.arange(len(drawn)) % 3)


@torch.no_grad()
def kept(
    kind: str, first: System, second: System, test: Tensor, judge: "Judge"
) -> tuple[str, Tensor]:
    """The row of an autoencoder and what is left of the test patches."""
    codec, network = second.codec, first.denoiser.network.eval()
    x_0 = codec.encode(test)
    back, spread = codec.decode(x_0), x_0.transpose(0, 1).flatten(1).std(1)
    used = ""
    if kind == "vq":
        z = network.encode(first.codec.encode(test))[0]
        counts = network.tokens(z).flatten().bincount(minlength=len(network.codebook)).double()
        share = counts / counts.sum()
        used = f"{torch.special.entr(share).sum().exp():.0f} of {len(counts)}"
    said = f"{spread.min():.2f} to {spread.max():.2f}"
    far = judge.distance(back)[1]
    return f"| {kind} | {psnr(back, test).mean():.2f} | {far} | {said} | {used} |", back


def draws(system: System) -> Tensor:
    """Patches of the classes in turn, in 20 steps."""
    return system.sample(DRAWN, None, Multistep(2), 20, seed=1, precision=half())


@torch.no_grad()
def prior(first: System) -> Tensor:
    """What the decoder makes of N(0, I)."""
    network = first.denoiser.network.eval()
    return first.codec.decode(network.sample(Streams.of(1, DRAWN)))


def speed(source: InMemory, given: argparse.Namespace) -> str:
    """A training step of ddpm over one of ldm, the encoding of its pictures included."""
    record = source.read(range(BATCH["ldm"]))
    record = {key: record[key] for key in ("image", "label")}
    first = Taken.of(given.runs / "autoencoder-kl")
    made = {
        "ldm": hush.systems.ldm(SHAPE, source.classes, first, BACKBONE),
        "ddpm": hush.systems.ddpm(SHAPE, source.classes, BACKBONE),
    }
    learners = {name: Trainer(one, recipe(one), World()) for name, one in made.items()}
    works = {name: lambda one=one: one.learn(record) for name, one in learners.items()}
    took = in_turn(works, given.rounds, torch.device("cpu"), warm=2)
    ratios = [a / b for a, b in zip(took["ddpm"], took["ldm"], strict=True)]
    return f"{torch.tensor(ratios).median():.1f} ({min(ratios):.1f}-{max(ratios):.1f})"


def report(
    given: argparse.Namespace,
    judge: Judge,
    rows: list[str],
    drawn: dict[str, Tensor],
    minutes: dict[str, float],
    faster: str,
) -> list[str]:
    """The tables, and what was to be shown."""
    far = {name: judge.distance(one) for name, one in drawn.items()}
    fit = {name: judge.of_class(one) for name, one in drawn.items() if name != "prior"}
    weights = {"prior": "z ~ N(0, I), decoded", "ddpm": "pixels"}
    best = min(("ldm-kl", "ldm-vq"), key=lambda name: far[name][0])
    share = far[best][0] / far["ddpm"][0]
    return [
        header("python benchmarks/latent.py", given),
        "",
        "Minutes of training: " + ", ".join(f"{n} {spent:.1f}" for n, spent in minutes.items()),
        "",
        "| autoencoder | there and back, dB | in floors (95 %) | deviation of x_0 by channel | "
        "entries in use |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "| drawn by | | feature distance, floors (95 %) | of the class asked for |",
        "|---|---|---|---|",
        *(
            f"| {name} | {weights.get(name, 'latents')} | {said} | "
            f"{f'{fit[name]:.3f}' if name in fit else ''} |"
            for name, (_, said) in far.items()
        ),
        "",
        f"A training step takes {faster} times as long in pixels as in latents (float32 pictures "
        "encoded in every step).",
        "",
        "What was to be shown [S33]:",
        "",
        f"- a step at least 3 times as fast: {faster}",
        f"- distance at most 1.1 of the chain of pixels: {share:.2f} ({best})",
        f"- better than the autoencoder's prior: {far[best][0]:.2f} to {far['prior'][0]:.2f}",
        f"- class right at least .9: {fit[best]:.3f}",
    ]


if __name__ == "__main__":
    main()

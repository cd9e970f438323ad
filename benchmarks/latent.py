"""Latent diffusion: what an autoencoder keeps, and a chain in its latents beside one of pixels.

    python benchmarks/latent.py [--runs runs/latent] [--threads 2]

Grey patches of 32 by 32 of brick, grass and gravel, learnt from the upper parts of three
photographs and tested on the lower ones (`small.textures`). Two autoencoders, of numbers and of a
codebook, make 4 by 4 pixels one place; in the latents of each `ldm` learns the three classes, and
beside them `ddpm` does in the pixels, with a network of the same width, until it has taken as long
as the autoencoder and the chain in its latents together are given. Draws are told the classes in
turn. Distances are Fréchet in the features of `patch_space`, over that of the training patches to
the test patches. A run that is there goes on, or is used. The critic pulls seven tenths as hard as
fidelity, and from the start.

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
NETWORK = {"width": 24, "multipliers": (1, 2, 2), "blocks": 1}
SIZES = {**NETWORK, "latent": 8, "entries": 256, "critic": 16}
RATE = {"learning_rate": 1e-3, "warmup": 100, "decay": "cosine", "ema": 0.999, "workers": 1}
STEPS = {"autoencoder": 1600, "ldm": 2000, "ddpm": 800}
BATCH = {"autoencoder": 16, "ldm": 16, "ddpm": 16}
KINDS = "kl", "vq"
DRAWN, SHOWN = 399, 9
SCALES = 1.0, 2.0, 4.0  # of guidance; the last is what is judged and shown


def main() -> None:
    """Train what is not there, measure, write, draw."""
    parser = options(__doc__, rounds=5)
    parser.add_argument("--runs", type=Path, default=Path("runs/latent"))
    parser.add_argument("--adversarial", type=float, default=0.7)
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
    drawn = {
        (name, scale): draws(systems[name], scale)
        for name in ("ldm-kl", "ldm-vq", "ddpm")
        for scale in SCALES
    }
    drawn["prior", 1.0] = prior(systems["autoencoder-kl"])
    shown += [drawn[name, SCALES[-1]] for name in ("ldm-kl", "ldm-vq", "ddpm")]
    shown.insert(-1, drawn["prior", 1.0])
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
    far, right = judge.distance(back)[1], judge.of_class(back)
    row = f"| {kind} | {psnr(back, test).mean():.2f} | {far} | {right:.3f} | {said} | {used} |"
    return row, back


def draws(system: System, scale: float) -> Tensor:
    """Patches of the classes in turn, in 20 steps, guided so much (1 is not at all)."""
    guidance = scale if scale != 1.0 else None
    return system.sample(DRAWN, None, Multistep(2), 20, 1, guidance, precision=half())


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
    drawn: dict[tuple[str, float], Tensor],
    minutes: dict[str, float],
    faster: str,
) -> list[str]:
    """The tables, and what was to be shown."""
    far = {how: judge.distance(one) for how, one in drawn.items()}
    fit = {how: judge.of_class(one) for how, one in drawn.items() if how[0] != "prior"}
    weights = {"prior": "z ~ N(0, I), decoded", "ddpm": "pixels"}
    scale = SCALES[-1]
    best = min((("ldm-kl", scale), ("ldm-vq", scale)), key=lambda how: far[how][0])
    pixels = min(far["ddpm", scale][0] for scale in SCALES)
    return [
        header("python benchmarks/latent.py", given),
        "",
        "Minutes of training: " + ", ".join(f"{n} {spent:.1f}" for n, spent in minutes.items()),
        "",
        "| autoencoder | there and back, dB | in floors (95 %) | still of its class | "
        "deviation of x_0 by channel | entries in use |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        "| drawn by | | guidance | feature distance, floors (95 %) | of the class asked for |",
        "|---|---|---|---|---|",
        *(
            f"| {how[0]} | {weights.get(how[0], 'latents')} | {how[1]:g} | {said} | "
            f"{f'{fit[how]:.3f}' if how in fit else ''} |"
            for how, (_, said) in far.items()
        ),
        "",
        f"A training step takes {faster} times as long in pixels as in latents (float32 pictures "
        "encoded in every step).",
        "",
        f"What was to be shown [S33], chains in latents guided by {scale:g}:",
        "",
        f"- a step at least 3 times as fast: {faster}",
        "- distance at most 1.1 of the chain of pixels, guided as suits it best: "
        f"{far[best][0] / pixels:.2f} ({best[0]})",
        f"- better than the autoencoder's prior: {far[best][0]:.2f} to {far['prior', 1.0][0]:.2f}",
        f"- class right at least .9: {fit[best]:.3f}",
    ]


if __name__ == "__main__":
    main()

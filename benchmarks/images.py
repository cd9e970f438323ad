"""Pictures made whole: each system beside what needs no diffusion, on patches of real photographs.

    python benchmarks/images.py [--only NAME ...] [--steps 1500] [--runs runs/images]

Patches of 32 by 32 pixels in colour (`small.patches`), parted by photograph. Every system trains a
like U-Net for as many steps, in a run that is kept and not repeated; a regression network, which
answers directly (L1), for half as many. Each of the test patches is answered twice in 20
evaluations. Told are: the Fréchet distance of the first answers to the test patches in the features
of `patch_space`, over the distance of the training patches to them (the floor; 95 % bootstrap);
PSNR and SSIM; for larger pictures how far the answers' own means are from what was given (mean
squared, times 1e5); how far two answers differ.

Writes benchmarks/results/images.md (the rows of the runs that are there) and
images-NAME.png: what was given, the baseline, the regression, two answers, the truth.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import small
import torch
from measure import RESULTS, half, header, options, write
from torch import Tensor

import hush
from hush.data import InMemory, save, strip
from hush.evaluation import (
    answers,
    bicubic,
    biharmonic,
    consistency,
    diversity,
    fit_regression,
    frechet,
    patch_space,
    psnr,
    ratio_interval,
    replicated,
    ssim,
)
from hush.networks import Backbone
from hush.rng import Streams
from hush.samplers import Multistep, RePaint
from hush.system import Recipe, System
from hush.tasks.images import PICTURE

SHAPE = (3, 32, 32)
BACKBONE = Backbone(width=32, multipliers=(1, 2, 3), blocks=1, attention=(2,), dropout=0.0)
FEWER = {"batch": 32, "learning_rate": 1e-3, "warmup": 100, "ema": 0.999}
SHOWN = 8


def palette(*tasks: str) -> Callable[[], System]:
    """The makers of Palette for these tasks."""
    return lambda: hush.systems.palette(SHAPE, tasks, BACKBONE)


SYSTEMS: dict[str, Callable[[], System]] = {
    "sr3": lambda: hush.systems.sr3(SHAPE, 4, BACKBONE),
    "sr3, x2": lambda: hush.systems.sr3(SHAPE, 2, BACKBONE),
    "srdiff, x2": lambda: hush.systems.srdiff(SHAPE, 2, BACKBONE, features=16, groups=2),
    "palette, colourise": palette("colourise"),
    "palette, inpaint": palette("inpaint"),
    "palette, uncrop": palette("uncrop"),
    "palette, jpeg": palette("jpeg"),
}
MIX = ("colourise", "inpaint", "uncrop", "jpeg")


def trained(name: str, make: Callable[[], System], given: argparse.Namespace) -> System:
    """The run of a system, trained if it is not there."""
    train, _ = small.patches()
    torch.manual_seed(0)
    recipe = Recipe(**{**FEWER, "steps": given.steps}, decay="cosine", precision=half())
    out, began = given.runs / name.replace(", ", "-"), time.perf_counter()
    source = InMemory(train, levels=256, name="patches of photographs")
    system = hush.train(make(), source, out, recipe, sample_every=given.steps, show=False)
    took = out / "minutes.json"
    if not took.exists():
        took.write_text(json.dumps((time.perf_counter() - began) / 60))
    return system


def judged(
    name: str, system: System, task: str, space: Callable, floor: Tensor, steps: int
) -> list[str]:
    """The rows of one system, and its picture."""
    train, test = small.patches()
    own = hush.systems.palette(SHAPE, (task,), BACKBONE).task if name == "palette, mix" else None
    task_ = own or system.task
    _, cond, mask = task_.example({"image": test}, Streams.of(7, len(test)))
    _, seen, holes = task_.example({"image": train}, Streams.of(8, len(train)))
    picture, low = cond[PICTURE], None
    if mask is None:
        base = picture.clamp(0.0, 1.0)
        says = "the JPEG itself" if task == "jpeg" else "the grey picture"
        if task == "upscale":
            low = torch.nn.functional.avg_pool2d(test, task_.factor)
            base, says = bicubic(low, task_.factor), "bicubic"
    else:
        fill, says = (biharmonic, "biharmonic") if task == "inpaint" else (replicated, "edges")
        base = fill(test, ~mask)
    network = fit_regression(BACKBONE, *_shown(seen[PICTURE], holes, train), steps=steps)
    direct = answers(network, _shown(picture, mask, test)[0])
    drawn = [_drawn(system, cond, mask, test, seed) for seed in (1, 2)]
    if mask is not None:
        direct = torch.where(mask, direct, test)
    rows = []
    for who, answer, other in ((says, base, None), ("regression", direct, None), (name, *drawn)):
        low_, high = ratio_interval(space(answer), floor, space(test))
        ratio = frechet(space(answer), space(test)) / frechet(floor, space(test))
        own_ = "" if low is None else f"{1e5 * consistency(answer, low, task_.factor).mean():.1f}"
        vary = "" if other is None else f"{diversity(torch.stack((answer, other), 1)).mean():.3f}"
        rows.append(
            f"| {task} | {who} | {ratio:.2f} ({low_:.2f}-{high:.2f}) | "
            f"{psnr(answer, test).mean():.2f} | {ssim(answer, test).mean():.3f} | {own_} | {vary} |"
        )
    parts = (picture.clamp(0.0, 1.0), base, direct, *drawn, test)
    shown = strip([part[:: len(test) // SHOWN][:SHOWN] for part in parts], zoom=3)
    save(shown, RESULTS / f"images-{_file(name, task)}.png", overwrite=True)
    return rows


def _shown(picture: Tensor, mask: Tensor | None, whole: Tensor) -> tuple[Tensor, Tensor]:
    """What a regression network sees, a mask as a further channel, and what it is to answer."""
    if mask is None:
        return picture, whole
    return torch.cat((torch.where(mask, 0.5, picture), mask.float()), 1), whole


def _drawn(
    system: System, cond: dict[str, Tensor], mask: Tensor | None, test: Tensor, seed: int
) -> Tensor:
    sampler = Multistep(2)
    if mask is not None:
        sampler = RePaint(sampler, system.codec.encode(test), ~mask)
    given = {"sampler": sampler, "grid": 20, "seed": seed, "precision": half()}
    parts = []
    for first in range(0, len(test), 100):
        part = slice(first, first + 100)
        if mask is not None:
            known = system.codec.encode(test[part])
            given["sampler"] = RePaint(Multistep(2), known, ~mask[part])
        some = {name: value[part] for name, value in cond.items()}
        parts.append(system.sample(len(test[part]), some, **given))
    return torch.cat(parts)


def _file(name: str, task: str) -> str:
    return name.replace(", ", "-") + (f"-{task}" if name == "palette, mix" else "")


def main() -> None:
    """Train what is asked for, judge what is there."""
    parser = options(__doc__, rounds=1)
    known = [*SYSTEMS, "palette, mix"]
    parser.add_argument("--only", nargs="*", default=known, choices=known)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--runs", type=Path, default=Path("runs/images"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    train, _ = small.patches()
    space = patch_space(train)
    floor = space(train)
    kept = given.runs / "rows.json"
    rows = json.loads(kept.read_text()) if kept.exists() else {}
    for name in given.only:
        make = SYSTEMS.get(name) or palette(*MIX)
        system = trained(name, make, given)
        tasks = MIX if name == "palette, mix" else (name.partition(", ")[2],)
        tasks = ("upscale",) if "x2" in tasks[0] or not tasks[0] else tasks
        minutes = json.loads((given.runs / name.replace(", ", "-") / "minutes.json").read_text())
        rows[name] = [
            minutes,
            [r for t in tasks for r in judged(name, system, t, space, floor, given.steps // 2)],
        ]
        kept.write_text(json.dumps(rows))
    lines = [header("python benchmarks/images.py", given), ""]
    for name in known:
        if name in rows:
            minutes, table = rows[name]
            lines += [
                f"**{name}**: {given.steps:,} steps of training in {minutes:.1f} minutes",
                "",
                "| task | | feature distance, floors (95 %) | PSNR, dB | SSIM | consistency, 1e-5 "
                "| answers differ by |",
                "|---|---|---|---|---|---|---|",
                *table,
                "",
            ]
    write("images.md", lines)


if __name__ == "__main__":
    main()

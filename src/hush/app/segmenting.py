"""`hush segment` and `hush compare`: what every pixel shows, and what has changed, by what a run
knows of pictures inside and a few labels."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from hush.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from hush.system import System
    from hush.tasks.judged import Score

Whole = Annotated[int | None, tyro.conf.arg(metavar="INT")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")]
COLOURS = "1e1e28 e63c3c 4682e6 3cb450 f5be1e b450d2 28c8c8 f08232 969696 f0a0c8"  # of classes


@dataclass(frozen=True)
class Segment:
    """First `hush segment RUN PICTURES --learn MASKS`: masks are grey pictures of the same names,
    each grey level a class. What is learnt stays in the run. Then `hush segment RUN INPUT --out
    FOLDER`: NAME.png, a colour for each class, and NAME-sure.png, how many of ten readers agree."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A folder written by `hush train`, of a system that generates."""
    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUT")]
    """Pictures, or folders of them."""
    out: Folder = None
    """Folder of the answers; made if it is not there."""
    learn: Folder = None
    """Masks to learn from."""
    seed: int = 0
    """Of learning."""
    threads: Whole = None
    """Processor threads; by default all cores."""


@dataclass(frozen=True)
class Compare:
    """First `hush compare RUN BEFORE AFTER --learn CHANGED`: three folders with the same names, the
    last white where something has changed. Then `hush compare RUN BEFORE AFTER --out FOLDER`:
    NAME.png, white where a change is likely, and its share of the picture in changes.csv."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A folder written by `hush train`, of a system that generates."""
    before: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BEFORE")]
    """A picture, or a folder of them."""
    after: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="AFTER")]
    """The same scenes later, with the same names."""
    out: Folder = None
    """Folder of the answers; made if it is not there."""
    learn: Folder = None
    """What has changed, to learn from."""
    seed: int = 0
    """Of learning."""
    threads: Whole = None
    """Processor threads; by default all cores."""


def segment(arguments: list[str]) -> None:
    """Learn from masks, or give every pixel a class."""
    import torch

    from hush.app.inputs import opened
    from hush.data import save
    from hush.tasks import Segmenter, fit_segmenter
    from hush.tasks.judged import judge_segment

    options = tyro.cli(Segment, args=arguments, prog="hush segment")
    system = _begun(options)
    pictures = dict(opened(options.inputs, system.task.shape[0]))
    if options.learn:
        grey = _stacked(partners(pictures, options.learn))
        levels = grey.mul(255).round().unique()
        masks = torch.searchsorted(levels, grey.mul(255).round())[:, 0]
        names = [f"{int(level)}" for level in levels]
        stacked = _stacked(pictures)
        scores = judge_segment(system, stacked, masks, names, seed=options.seed)
        path = fit_segmenter(system, stacked, masks, names, seed=options.seed).save(options.run)
        print(f"Learnt {len(names)} classes (grey {', '.join(names)}) of {len(masks)}: {path}")
        _tell("mIoU", scores, len(masks), "the same head on raw pixels")
        return
    reader = Segmenter.load(options.run, system)
    colours = torch.tensor([list(bytes.fromhex(code)) for code in COLOURS.split()]) / 255
    for name, picture in pictures.items():
        labels, sure = (part.cpu() for part in reader(picture))
        save(colours[labels[0] % len(colours)].movedim(-1, 0), options.out / f"{name}.png")
        save(sure, options.out / f"{name}-sure.png")
    print(f"{len(pictures)} segmented into {len(reader.classes)} classes, in {options.out}")


def compare(arguments: list[str]) -> None:
    """Learn what a change is, or find it."""
    import csv

    from hush.app.inputs import opened
    from hush.data import save
    from hush.tasks import ChangeDetector, fit_change
    from hush.tasks.judged import judge_change

    options = tyro.cli(Compare, args=arguments, prog="hush compare")
    system = _begun(options)
    channels = system.task.shape[0]
    before = dict(opened((options.before,), channels))
    after = partners(before, options.after, channels)
    if options.learn:
        changed = (_stacked(partners(before, options.learn)) > 0.5)[:, 0].long()
        pairs = _stacked(before), _stacked(after)
        scores = judge_change(system, *pairs, changed, seed=options.seed)
        path = fit_change(system, *pairs, changed, seed=options.seed).save(options.run)
        print(f"Learnt change from {len(changed)} pairs: {path}")
        _tell("F1", scores, len(changed), "the raw difference at its best threshold")
        return
    reader, shares = ChangeDetector.load(options.run, system), {}
    for name, picture in before.items():
        chance = reader(picture, after[name]).cpu()
        shares[name] = float((chance > 0.5).float().mean())
        save(chance, options.out / f"{name}.png")
    with (options.out / "changes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("picture", "changed"), *shares.items()])
    most = max(shares, key=shares.__getitem__)
    print(f"{len(shares)} compared, most changed {most} ({shares[most]:.1%}); in {options.out}")


def _begun(options: Segment | Compare) -> "System":
    from hush.app.inputs import begun

    if (options.out is None) == (options.learn is None):
        raise UserError("Give one of both: --learn FOLDER to learn, --out FOLDER to be answered.")
    return begun(options.run, options.threads)


def partners(
    pictures: dict[str, "Tensor"],
    folder: Path,
    channels: int = 1,
    size: tuple[int, int] | None = None,
) -> dict[str, "Tensor"]:
    """The picture of the same name for each; of a single pair the names do not matter."""
    from hush.app.inputs import opened

    found = dict(opened((folder,), channels, size))
    if len(pictures) == len(found) == 1:
        return dict(zip(pictures, found.values(), strict=True))
    if missing := sorted(pictures.keys() - found.keys()):
        raise UserError(
            f"{folder} has no picture called {missing[0]}, and {len(missing):,} of "
            f"{len(pictures):,} are missing there: names must be the same, but for the ending."
        )
    return {name: found[name] for name in pictures}


def _tell(what: str, scores: "dict[str, Score]", count: int, beside: str) -> None:
    """How good what is learnt is on labels held out, beside what knows no diffusion."""
    from hush.tasks.judged import held

    learnt, out = held(count)
    if not scores:
        print(f"{count} are too few, or too much alike, to hold some out and say how good it is.")
        return
    own, other = scores.values()
    print(
        f"{what} on {len(out)} held out, learnt from the other {len(learnt)}: {own}; of {beside}: "
        f"{other}. What is kept has learnt from all."
    )


def _stacked(pictures: dict[str, "Tensor"]) -> "Tensor":
    import torch

    sizes = {tuple(picture.shape[2:]): name for name, picture in pictures.items()}
    if len(sizes) > 1:
        said = ", ".join(f"{name} {'x'.join(map(str, size))}" for size, name in sizes.items())
        raise UserError(f"What is learnt from must be of one size, got {said}: crop it first.")
    return torch.cat(list(pictures.values()))

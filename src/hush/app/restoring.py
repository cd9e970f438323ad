"""`hush upscale`, `inpaint`, `uncrop`, `colourise`, `restore` and `denoise`: from a picture file to
the picture made whole, or to several, and to how sure the model is of each pixel."""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from hush.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from hush.system import System
    from hush.tasks.edit import Judge
    from hush.tasks.restore import Question

Whole = Annotated[int | None, tyro.conf.arg(metavar="INT")]
Word = Annotated[str | None, tyro.conf.arg(metavar="NAME")]
File = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")]


@dataclass(frozen=True)
class Options:
    """Answers to every picture: NAME.png for one, NAME-00.png … for several with NAME-spread.png,
    how far they differ; and NAME-beside.png, what was given beside them."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A folder written by `hush train`."""
    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUT")]
    """Pictures, or folders of them."""
    out: Path
    """Folder of the answers; made if it is not there."""
    count: int = 1
    """Answers to each picture."""
    seed: Whole = None
    """The same seed gives the same answers; by default a new one, which is printed."""
    sampler: Word = None
    """ddim, multistep, …, as of `hush sample`."""
    steps: Whole = None
    """Steps of the walk."""
    tile: Whole = None
    """Side of the tiles that large pictures are walked in; by default that of the pictures the
    model was trained on; 0 is none."""
    threads: Whole = None
    """Processor threads; by default all cores."""


@dataclass(frozen=True)
class Exact(Options):
    exact: bool = False
    """Hold a model that was trained for it to what it is given: the means of a larger picture, the
    luma of one in colour. One that only draws always is."""


@dataclass(frozen=True)
class Upscale(Exact):
    factor: Whole = None
    """How much larger: of a model that was trained for it its own, else 2."""
    level: float = 0.0
    """Of a stage of a cascade: how much noise hides what is wrong with what it is given."""


@dataclass(frozen=True)
class Inpaint(Options):
    mask: File = None
    """A picture of the same size, white where something is to be made."""
    classes: Annotated[str | None, tyro.conf.arg(name="class", metavar="NAME")] = None
    """What is to be made, of a model that only draws and has classes, or by a --classifier."""
    text: Annotated[str | None, tyro.conf.arg(metavar="TEXT")] = None
    """What the whole picture is to show, in words of the --encoder; several answers are ranked."""
    encoder: Folder = None
    """What `hush teach encoder` wrote."""
    classifier: Folder = None
    """What `hush teach classifier` wrote, for a run without classes; several answers are ranked."""
    guidance: float = 1.0
    """How far it is guided there: to the run's own class 1 is as far as it believes; to a --text or
    by a --classifier 0 is not at all, 1 as far as Bayes' rule goes, and 3 to 30 are usual."""


@dataclass(frozen=True)
class Uncrop(Options):
    top: int = 0
    """Pixels to be made above."""
    right: int = 0
    """Pixels to be made on the right."""
    bottom: int = 0
    """Pixels to be made below."""
    left: int = 0
    """Pixels to be made on the left."""


ASKED: dict[str, type[Options]] = {
    "upscale": Upscale,
    "inpaint": Inpaint,
    "uncrop": Uncrop,
    "colourise": Exact,
    "restore": Options,
    "denoise": Options,
}


def upscale(arguments: list[str]) -> None:
    """Larger pictures."""
    _answer("upscale", arguments)


def inpaint(arguments: list[str]) -> None:
    """Pictures whose holes are filled."""
    _answer("inpaint", arguments)


def uncrop(arguments: list[str]) -> None:
    """Pictures that go on beyond their edges."""
    _answer("uncrop", arguments)


def colourise(arguments: list[str]) -> None:
    """Grey pictures in colour."""
    _answer("colourise", arguments)


def restore(arguments: list[str]) -> None:
    """Pictures as they were before JPEG."""
    _answer("restore", arguments)


def denoise(arguments: list[str]) -> None:
    """Pictures without their noise."""
    _answer("denoise", arguments)


def _answer(verb: str, arguments: list[str]) -> None:
    from hush.app.inputs import begun
    from hush.tasks.edit import ranked, towards
    from hush.tasks.restore import answers

    options = tyro.cli(
        ASKED[verb], args=arguments, prog=f"hush {verb}", description=Options.__doc__
    )
    if options.count < 1:
        raise UserError(f"--count must be 1 or more, got {options.count}.")
    seed = random.getrandbits(31) if options.seed is None else options.seed
    system = settled(begun(options.run, options.threads), options)
    pictures = given(verb, options, system)
    judge, own = _wanted(options)
    for name, picture in pictures:
        whole, asked = questioned(verb, options, system, picture, seed)
        asked = towards(system, asked, judge, options.guidance) if judge else asked
        drawn = answers(system, asked, options.count, seed, tile=options.tile, **own)
        drawn = ranked(judge, drawn)[0] if judge else drawn
        write(options.out, name, whole, drawn.cpu())
    print(f"{len(pictures)} answered with seed {seed}, {options.count} each, in {options.out}")


def given(verb: str, options: Options, system: "System") -> "list[tuple[str, Tensor]]":
    """(name, picture) of all that is asked about."""
    from hush.app.inputs import opened

    return opened(options.inputs, None if verb == "colourise" else system.task.shape[0])


def questioned(
    verb: str, options: Options, system: "System", picture: "Tensor", seed: int
) -> "tuple[Tensor, Question]":
    """The picture, on a larger canvas if it is to go on, and what is asked about it."""
    from hush.tasks.restore import question

    whole, about = _about(verb, options, picture)
    about["exact"] = isinstance(options, Exact) and options.exact
    return whole, question(system, verb, whole, seed=seed, **about)


def settled(system: "System", options: Options) -> "System":
    """The system with the sampler and the steps that were asked for."""
    from hush.app.choices import SAMPLERS, choose

    if options.sampler:
        system = replace(system, sampler=choose(SAMPLERS, "sampler", options.sampler))
    if options.steps is not None:
        system = replace(system, grid=replace(system.grid, steps=options.steps))
    return system


def _about(verb: str, options: Options, picture: "Tensor") -> tuple["Tensor", dict[str, Any]]:
    """The picture, on a larger canvas if it is to go on, and what else is asked about it."""
    from hush.app.inputs import opened
    from hush.tasks.restore import extended

    if isinstance(options, Upscale):
        return picture, {"factor": options.factor, "level": options.level}
    if isinstance(options, Inpaint):
        if options.mask is None:
            raise UserError("hush inpaint wants --mask FILE: white where something is to be made.")
        ((_, mask),) = opened((options.mask,), 1)
        return picture, {"mask": mask > 0.5}
    if isinstance(options, Uncrop):
        margins = (options.top, options.right, options.bottom, options.left)
        if min(margins) < 0 or not any(margins):
            raise UserError(
                f"hush uncrop wants pixels to be made, --top, --right, --bottom or --left, got "
                f"{margins}."
            )
        canvas, mask = extended(picture, margins)
        return canvas, {"mask": mask}
    return picture, {}


def _wanted(options: Options) -> tuple["Judge | None", dict[str, Any]]:
    """Who judges what is made in a hole, or else what the model itself is to make there."""
    from hush.app.editing import judged

    if not isinstance(options, Inpaint):
        return None, {}
    judge = judged(options)
    return judge, {} if judge else {"kind": options.classes, "scale": options.guidance}


def write(out: Path, name: str, picture: "Tensor", drawn: "Tensor") -> None:
    """The answers to one picture, how far they differ, and all beside what was given."""
    import torch

    from hush.data import grid, save
    from hush.tasks.restore import spread

    several = len(drawn) > 1
    for number, answer in enumerate(drawn):
        save(answer, out / f"{name}{f'-{number:02d}' if several else ''}.png")
    if several:
        apart = spread(drawn)
        save((apart / apart.max().clamp(min=1e-6)).unsqueeze(0), out / f"{name}-spread.png")
    given = picture.expand(-1, drawn.shape[1], -1, -1)
    given = torch.nn.functional.interpolate(given, size=drawn.shape[2:], mode="nearest")
    save(
        grid(torch.cat((given, drawn[:7])), columns=min(8, 1 + len(drawn))),
        out / f"{name}-beside.png",
    )

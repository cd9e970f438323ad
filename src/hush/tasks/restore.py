"""Asking for a picture made whole: of a model trained for it, or of any model of such pictures.

    picture ── question ──► what is given, what is known ── answers ──► as many as are wanted

A model trained for the verb is told the picture; of one that only draws, the belief is held
to what the picture says (`Projection`), or the walk to the pixels that are there (`RePaint`).
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from hush.errors import UserError
from hush.evaluation.held_out import device_of
from hush.guidance import ClassifierFree, Guidance, InTurn, Projection, Tiled
from hush.rng import Streams, derive
from hush.samplers import RePaint, Sampler
from hush.samplers.grids import Grid
from hush.samplers.repaint import Jumps
from hush.system import System
from hush.tasks.holes import Fill, filled
from hush.tasks.images import PICTURE, Colourise, Denoise, FromPicture, Unjpeg, Upscale
from hush.tasks.masks import Mask
from hush.tasks.mixed import Mixed
from hush.tensors import Condition

Picture = Float[Tensor, "1 channel height width"]
Pictures = Float[Tensor, "count channel height width"]
Verb = Literal["upscale", "colourise", "inpaint", "uncrop", "restore", "denoise"]

TRAINED: dict[str, tuple[type[FromPicture], ...]] = {
    "upscale": (Upscale,),
    "colourise": (Colourise,),
    "inpaint": (Fill,),
    "uncrop": (Fill,),
    "restore": (Unjpeg,),
    "denoise": (Denoise,),
}
REPEATS = 10  # how often a model that only draws goes over a hole again (Lugmayr et al. 2022)


@dataclass(frozen=True)
class Question:
    """One picture to be made whole, of `event` (channel, height, width): what the model is given,
    how its belief is held, and the pixels that are `known` where `mask` is false."""

    event: tuple[int, ...]
    cond: Condition | None = None
    guidance: Guidance | None = None
    known: Picture | None = None
    mask: Mask | None = None


def question(
    system: System,
    verb: Verb,
    picture: Picture,
    mask: Tensor | None = None,
    factor: int | None = None,
    seed: int = 0,
    level: float = 0.0,
    exact: bool = False,
) -> Question:
    """What is to be asked of a model about a picture in [0, 1].

    `mask` is true where something is to be made ("inpaint", "uncrop"), `factor` how much larger the
    answer is ("upscale"; of a model trained for it, its own), `level` the noise that a stage of a
    cascade is to hide the picture's faults in. With `exact` a model that was trained for it is held
    to what it is given, as one that only draws always is: the means of a larger picture, the luma
    of one in colour ("upscale", "colourise"; `Projection`). Raises `UserError` where the model
    cannot do it, or the picture does not fit it.
    """
    _check(system, verb, picture, mask)
    if isinstance(system.task, FromPicture):
        return _told(system, verb, picture, mask, factor, seed, level, exact)
    return _held(system, verb, picture, mask, factor or 2)


def answers(
    system: System,
    asked: Question,
    count: int = 1,
    seed: int = 0,
    sampler: Sampler | None = None,
    grid: Grid | int | None = None,
    batch: int = 64,
    tile: int | None = None,
    kind: str | None = None,
    scale: float = 1.0,
    **options: Any,
) -> Pictures:
    """`count` answers to a question, each from its own stream; known pixels come back as they are.

    A picture larger than those the model was trained on is walked in tiles of their size, or of
    `tile` pixels a side; 0 is none. Of a model that only draws, `kind` is the class of what is made
    and `scale` how far it is guided there: with a mask a region is edited, blended into what is
    around it at every step (Avrahami et al. 2022, "Blended diffusion for text-driven editing of
    natural images"). `options` go on to `System.sample`.
    """
    posed, how = pose(system, asked, sampler, grid, tile, kind, scale)
    return kept(asked, posed.sample(count, seed=seed, batch=batch, **how, **options))


def pose(
    system: System,
    asked: Question,
    sampler: Sampler | None = None,
    grid: Grid | int | None = None,
    tile: int | None = None,
    kind: str | None = None,
    scale: float = 1.0,
) -> tuple[System, dict[str, Any]]:
    """The system that answers a question, and the arguments its `sample` or `walk` answers it by;
    what comes of these is still to be `kept` to what is known. See `answers`."""
    task, told = system.task, isinstance(system.task, FromPicture)
    if not told:
        system = replace(system, task=replace(task, shape=asked.event))
    if asked.mask is not None:
        device = device_of(system)
        known, seen = system.codec.encode(asked.known.to(device)), ~asked.mask.to(device)
        seen = system.codec.places(seen)
        sampler = RePaint(sampler or system.sampler, known, seen)
        if isinstance(grid, int):
            grid = replace(system.grid, steps=grid)
        grid = grid or system.grid
        grid = grid if told else Jumps(grid.steps, grid, max(1, grid.steps // 25), REPEATS)
    sides = (tile, tile) if tile else task.shape[1:]
    tiles = Tiled(system.codec.event((1, *sides))[1:]) if tile != 0 else None
    free = ClassifierFree(scale) if scale != 1.0 else None
    guidance = InTurn(tuple(part for part in (tiles, free, asked.guidance) if part))
    cond = asked.cond if told else -1 if kind is None and task.classes else kind
    return system, {"cond": cond, "sampler": sampler, "grid": grid, "guidance": guidance}


def kept(asked: Question, drawn: Pictures) -> Pictures:
    """What was drawn, with the known pixels as they are."""
    if asked.mask is None:
        return drawn
    return torch.where(asked.mask.to(drawn.device), drawn, asked.known.to(drawn))


def extended(picture: Picture, margins: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    """The picture on a larger canvas, and the mask of what is new: `margins` are the pixels to be
    made at the top, the right, the bottom and the left."""
    top, right, bottom, left = margins
    canvas = functional.pad(picture, (left, right, top, bottom), value=0.5)
    mask = torch.ones_like(canvas[:, :1], dtype=torch.bool)
    tall, wide = picture.shape[2:]
    mask[..., top : top + tall, left : left + wide] = False
    return canvas, mask


def spread(answers: Pictures) -> Float[Tensor, "height width"]:
    """How far several answers differ at each pixel: their standard deviation, root mean square over
    channels; 0 of a single one."""
    return answers.var(0, correction=0).mean(0).sqrt()


def _check(system: System, verb: str, picture: Picture, mask: Tensor | None) -> None:
    channels = system.task.shape[0]
    if picture.ndim != 4 or len(picture) != 1 or not picture.is_floating_point():
        raise UserError(
            f"A picture is floating point (1, channel, height, width), got {picture.dtype} of "
            f"{tuple(picture.shape)}."
        )
    if not (picture.min() >= -0.5 and picture.max() <= 1.5):
        raise UserError(
            f"The picture lies in [{float(picture.min()):.3g}, {float(picture.max()):.3g}]; "
            "expected [0, 1], so rescale it first."
        )
    grey_will_do = verb == "colourise" and picture.shape[1] == 1
    if picture.shape[1] != channels and not grey_will_do:
        kinds = {1: "grey", 3: "in colour", 4: "in colour with alpha"}
        raise UserError(
            f"The picture is {kinds.get(picture.shape[1], picture.shape[1])}, the model is of "
            f"pictures {kinds.get(channels, channels)}: convert it first."
        )
    if verb in ("inpaint", "uncrop") and mask is None:
        raise UserError(f"{verb} wants a mask: true (white) where something is to be made.")
    if mask is not None and tuple(mask.shape) != (1, 1, *picture.shape[2:]):
        raise UserError(
            f"The mask is {'x'.join(map(str, mask.shape[2:]))} pixels, the picture "
            f"{'x'.join(map(str, picture.shape[2:]))}: they must be of one size."
        )


def _told(
    system: System,
    verb: str,
    picture: Picture,
    mask: Mask | None,
    factor: int | None,
    seed: int,
    level: float,
    exact: bool,
) -> Question:
    """The question to a model that was trained for it."""
    task = system.task
    parts = task.tasks if isinstance(task, Mixed) else (task,)
    fit = [part for part in parts if isinstance(part, TRAINED[verb])]
    if not fit:
        does = ", ".join(type(part).__name__ for part in parts)
        raise UserError(f"This model cannot {verb}: it was trained for {does}.")
    own = getattr(fit[0], "factor", None)
    if factor is not None and own is not None and factor != own:
        raise UserError(f"This model upscales {own} times, got a factor of {factor}.")
    if mask is not None:
        given = filled(picture, mask, Streams.of(derive(seed, "hole"), 1))
        return Question(tuple(picture.shape[1:]), {PICTURE: given}, None, picture, mask)
    cond = fit[0].asked(picture, Streams.of(derive(seed, "asked"), 1), level)
    held = _projection(system, fit[0], picture, cond) if exact else None
    return Question(tuple(cond[PICTURE].shape[1:]), cond, held)


def _projection(
    system: System, task: FromPicture, picture: Picture, cond: Condition | None = None
) -> Projection:
    """What holds beliefs to what is sure of the answer."""
    if (held := task.held(system.codec, picture.to(device_of(system)), cond)) is None:
        raise UserError(
            f"Nothing of a picture that {type(task).__name__} is given is sure: leave out exact, "
            "which holds the means of larger pictures and the luma of those in colour."
        )
    return held


def _held(system: System, verb: str, picture: Picture, mask: Mask | None, factor: int) -> Question:
    """The question to a model that only draws."""
    event = tuple(picture.shape[1:])
    if mask is not None:
        return Question(event, known=picture, mask=mask)
    if not system.codec.invertible:
        raise UserError(
            f"{system.name} draws latents, of which a picture says nothing pixel by pixel: it can "
            f"inpaint and uncrop; to {verb} take a model of pixels, or one trained for it."
        )
    if verb == "upscale":
        event = (event[0], event[1] * factor, event[2] * factor)
        return Question(event, None, _projection(system, Upscale(event, factor=factor), picture))
    if verb == "colourise":
        event = (system.task.shape[0], *event[1:])
        return Question(event, None, _projection(system, Colourise(event), picture))
    raise UserError(
        f"{system.name} was not trained to {verb}: train palette with --tasks "
        f"{'jpeg' if verb == 'restore' else verb}."
    )

"""Whole pictures spoilt as a task spoils them, and who makes what of them.

truth ── Asked ──┬─ classical    bicubic, biharmonic, the nearest edge, or what was given
                 ├─ regression   a network like the run's, taught the answer itself
                 └─ the run      two answers, so that it shows how far they differ
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hush.errors import UserError
from hush.evaluation import answers as regressed
from hush.evaluation import bicubic, biharmonic, fit_regression, median, replicated
from hush.evaluation.held_out import device_of
from hush.guidance import Pool, Projection
from hush.networks import Backbone
from hush.rng import Streams, derive
from hush.samplers import RePaint, Sampler
from hush.system import System
from hush.tasks.holes import Inpaint, Uncrop
from hush.tasks.images import PICTURE, Colourise, Denoise, FromPicture, Unjpeg, Upscale
from hush.tasks.masks import Mask
from hush.tasks.mixed import Mixed
from hush.tensors import Condition, each

Pictures = Float[Tensor, "_ channel height width"]  # of any number: each set has its own


@dataclass(frozen=True)
class Asked:
    """Pictures `truth` in [0, 1] that a task has spoilt: what of them is given, and where something
    is to be made (`mask` None: everywhere)."""

    task: FromPicture
    truth: Pictures
    cond: Condition
    mask: Mask | None

    @classmethod
    def of(cls, task: FromPicture, truth: Pictures, seed: int = 0) -> "Asked":
        """Each spoilt by its own stream of the seed."""
        rng = Streams.of(derive(seed, "asked"), len(truth), device=truth.device)
        picture, mask = task.spoilt(truth, rng)
        return cls(task, truth, {PICTURE: picture}, mask)

    @property
    def given(self) -> Pictures:
        """What is given, at the answer's size."""
        return self.task.shown(self.cond)

    @property
    def low(self) -> Tensor | None:
        """The low resolution that was given, if it was."""
        return Pool(self.task.factor)(self.truth) if isinstance(self.task, Upscale) else None

    def held(self, system: System, some: slice = slice(None)) -> Projection | None:
        """What holds the answers to some of the pictures to what is sure of them, if anything is
        (`FromPicture.held`)."""
        shown = self.given if self.low is None else self.low
        cond = each(lambda part: part[some], self.cond)
        return self.task.held(system.codec, shown[some].to(device_of(system)), cond)

    @property
    def seen(self) -> Tensor:
        """What is given as a regression network sees it: a hole is grey, and a further channel says
        where it is."""
        if self.mask is None:
            return self.given
        return torch.cat((torch.where(self.mask, 0.5, self.given), self.mask.to(self.truth)), 1)

    def pasted(self, answer: Pictures) -> Pictures:
        """The answer, known pixels as they are."""
        return answer if self.mask is None else torch.where(self.mask, answer, self.truth)


CLASSICAL: dict[type[FromPicture], tuple[str, str, Callable[[Asked], Pictures]]] = {
    Upscale: ("upscale", "bicubic", lambda asked: bicubic(asked.low, asked.task.factor)),
    Colourise: ("colourise", "grey", lambda asked: asked.given),
    Inpaint: ("inpaint", "biharmonic", lambda asked: biharmonic(asked.truth, ~asked.mask)),
    Uncrop: ("uncrop", "edges", lambda asked: replicated(asked.truth, ~asked.mask)),
    Unjpeg: ("jpeg", "JPEG", lambda asked: asked.given),
    Denoise: ("denoise", "median", lambda asked: median(asked.given)),
}


@dataclass(frozen=True)
class Answered:
    """A task, what was asked, and the answers of each who was: one of those who know one answer
    only, several of those who draw."""

    name: str
    asked: Asked
    answers: dict[str, tuple[Pictures, ...]] = field(default_factory=dict)


def parts(system: System) -> tuple[FromPicture, ...]:
    """The tasks of a system, several of one that was taught a mix. Raises `UserError` for one that
    is given no picture."""
    task = system.task
    if not isinstance(task, FromPicture):
        raise UserError(
            f"{system.name} draws pictures from nothing, so there are no answers to be judged: "
            "give a run that makes pictures from others, such as one of sr3 or palette."
        )
    return task.tasks if isinstance(task, Mixed) else (task,)


def answered(
    system: System,
    task: FromPicture,
    train: Pictures,
    test: Pictures,
    regression: int = 600,
    seed: int = 0,
    **options: Any,
) -> Answered:
    """What is made of `test` pictures, spoilt as `task` does it: by what needs no learning, by a
    regression network of the system's own size (`regression` steps on `train`; 0 leaves it out),
    twice by the system, and twice more held to what is sure, if anything is. `options` go on to
    `drawn`."""
    name, classical, make = _row(task)
    asked = Asked.of(task, test, derive(seed, "test"))
    answers = {classical: (make(asked),)}
    backbone = system.arguments.get("backbone")
    if regression and isinstance(backbone, Backbone):
        learnt = Asked.of(task, train, derive(seed, "train"))
        network = fit_regression(backbone, learnt.seen, train, seed, regression)
        answers["regression"] = (asked.pasted(regressed(network, asked.seen)),)
    seeds = [derive(seed, f"answer {number}") for number in range(2)]
    for exact in (False, True) if asked.held(system) else (False,):
        who = f"{system.name}, exact" if exact else system.name
        answers[who] = tuple(drawn(system, asked, own, exact=exact, **options) for own in seeds)
    return Answered(name, asked, answers)


def drawn(
    system: System,
    asked: Asked,
    seed: int,
    sampler: Sampler | None = None,
    batch: int = 64,
    exact: bool = False,
    **options: Any,
) -> Pictures:
    """One answer of the system to each picture, known pixels held at every step, and with `exact`
    whatever else is sure (`FromPicture.held`); the answer to a picture is the same in whatever
    `batch` (to rounding). `options` go on to `System.sample`."""
    device, answers = device_of(system), []
    sampler = sampler or system.sampler
    for start in range(0, len(asked.truth), batch):
        some, own = slice(start, start + batch), sampler
        count = len(asked.truth[some])
        if asked.mask is not None:
            known = system.codec.encode(asked.truth[some].to(device))
            own = RePaint(sampler, known, ~asked.mask[some].to(device))
        held = asked.held(system, some) if exact else None
        how = {"seed": seed, "guidance": held, "batch": batch, "start": start}
        answers.append(system.sample(count, asked.cond, own, **how, **options))
    return asked.pasted(torch.cat(answers).to(asked.truth))


def _row(task: FromPicture) -> tuple[str, str, Callable[[Asked], Pictures]]:
    for kind, row in CLASSICAL.items():
        if isinstance(task, kind):
            return row
    raise UserError(f"There is nothing to judge answers of {type(task).__name__} beside.")

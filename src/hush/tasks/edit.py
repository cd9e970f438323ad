"""Editing: the inside of a mask made what a judge of pictures favours, and the answers ranked.

    question ── towards(judge) ──► question ── answers ──► pictures ── ranked(judge) ──► best first

Any run that draws such pictures serves, whatever it knows of classes: the judge need not be of its
making. `answers` blends at every step what is drawn into what is known around it. Avrahami et al.
2022, "Blended diffusion for text-driven editing of natural images". Their judge sees the region
alone, on nothing; here it sees the picture that is being made, known pixels and all, since that is
what it was taught on. Their term for the background is not needed where it is known, and otherwise
is `Reconstruction(Mask(known), picture)`, in turn with this one.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from hush.errors import UserError
from hush.evaluation.classifier import Classifier
from hush.guidance import InTurn, Judged
from hush.networks.dual import DualEncoder
from hush.schedules import Level
from hush.system import System
from hush.tasks.restore import Pictures, Question
from hush.tensors import Condition

Scores = Float[Tensor, " count"]


class Judge(ABC):
    """A frozen value that says in nats how well pictures in [0, 1] are what is wanted."""

    @abstractmethod
    def __call__(self, pictures: Pictures) -> Scores:
        """The score of each picture, by itself; it can be differentiated."""


@dataclass(frozen=True)
class Likeness(Judge):
    """How like a text pictures are: their logit by a dual encoder, or `against` other texts the
    logarithm of the text's share among them all."""

    encoder: DualEncoder
    text: str
    against: tuple[str, ...] = ()

    def __call__(self, pictures: Pictures) -> Scores:
        seen = self.encoder.pictures(fitted(pictures, self.encoder.settings["shape"]))
        others = [text for text in self.against if text != self.text]
        said = self.encoder.captions([self.text, *others])
        logits = self.encoder.similarity(seen, said)
        return logits.log_softmax(1)[:, 0] if others else logits[:, 0]


@dataclass(frozen=True)
class Belonging(Judge):
    """log p(class | picture) by a classifier, the class being a number."""

    classifier: Classifier
    label: int

    def __call__(self, pictures: Pictures) -> Scores:
        logits = self.classifier(fitted(pictures, self.classifier.settings["shape"]))
        return logits.log_softmax(1)[:, self.label]


def towards(system: System, asked: Question, judge: Judge, scale: float = 1.0) -> Question:
    """The question with its answers guided to what the judge favours (`Judged`); 1 is as far as
    Bayes' rule would go if the judge were right about means of pictures, more is further."""

    def log_prob(x_0: Tensor, level: Level, cond: Condition | None) -> Scores:
        pictures = system.codec.decode(x_0, cond)
        if asked.mask is not None:
            pictures = torch.where(asked.mask.to(x_0.device), pictures, asked.known.to(pictures))
        return judge(pictures)

    parts = (asked.guidance, Judged(log_prob, scale))
    return replace(asked, guidance=InTurn(tuple(part for part in parts if part)))


@torch.no_grad()
def ranked(judge: Judge, pictures: Pictures) -> tuple[Pictures, Scores]:
    """The pictures, and their scores, the best first."""
    scores = judge(pictures)
    order = scores.argsort(descending=True, stable=True)
    return pictures[order], scores[order]


def fitted(pictures: Pictures, shape: tuple[int, ...]) -> Float[Tensor, "count channel _ _"]:
    """Pictures at the size that a network was taught at. Raises `UserError` for other channels."""
    if pictures.shape[1] != shape[0]:
        raise UserError(
            f"The judge was taught on pictures of {shape[0]} channels, the model's have "
            f"{pictures.shape[1]}: teach one on such pictures."
        )
    if tuple(pictures.shape[2:]) == tuple(shape[1:]):
        return pictures
    return functional.interpolate(pictures, size=shape[1:], mode="bilinear", antialias=True)

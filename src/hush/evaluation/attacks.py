"""Attacks on a classifier of pictures: small changes that make it wrong, found by its gradient.

    attacked = PGD(radius=8 / 255)(classifier, pictures, labels)             # grey-box
    attacked = PGD(draws=8)(classifier, pictures, labels, defence, seed=1)   # adaptive

A classifier is any differentiable function of pictures (count, channel, height, width) in [0, 1] to
logits, that of each picture alone; a defence any function of pictures and their streams to
pictures, that the attacker knows. What is drawn for a picture is a function of the seed and of its
number.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from hush.errors import UserError
from hush.rng import Streams, derive
from hush.tensors import expand

Pictures = Float[Tensor, "count channel height width"]
Labels = Int64[Tensor, " count"]
Losses = Float[Tensor, " count"]
Classify = Callable[[Pictures], Float[Tensor, "count classes"]]
Defence = Callable[[Pictures, Streams], Pictures]
Loss = Callable[[Pictures, Streams], Losses]


class Attack(ABC):
    """A frozen value that changes pictures so that a classifier mistakes them, within bounds."""

    @abstractmethod
    def found(self, loss: Loss, pictures: Pictures, rng: Streams) -> Pictures:
        """The pictures of highest `loss` (count,) that the attack can find from their streams."""

    def __call__(
        self,
        classifier: Classify,
        pictures: Tensor,
        labels: Tensor,
        defence: Defence | None = None,
        seed: int = 0,
        start: int = 0,
    ) -> Pictures:
        """The pictures (count, channel, height, width) attacked, in [0, 1] still, each against its
        label (count,); they are the samples `start`, start + 1, … of the seed.

        With a `defence` the attack is adaptive: it is made on the classifier behind the defence.
        Raises `UserError` for pictures outside [0, 1] and labels that are not one for each.
        """
        _must_fit(pictures, labels)
        rng = Streams.of(derive(seed, "attack"), len(pictures), start, pictures.device)

        def loss(changed: Pictures, draws: Streams) -> Losses:
            seen = changed if defence is None else self.behind(defence, changed, draws)
            return F.cross_entropy(classifier(seen), labels, reduction="none")

        return self.found(loss, pictures, rng)

    def behind(self, defence: Defence, pictures: Pictures, rng: Streams) -> Pictures:
        """What the classifier sees."""
        return defence(pictures, rng)


@dataclass(frozen=True)
class PGD(Attack):
    """Projected gradient ascent of the cross-entropy: x ← P(x + step_size·u), u = sign ∇ ("linf")
    or ∇/‖∇‖ ("l2"), P onto the ball of `radius` about the picture, within [0, 1].

    The first of `restarts` starts from the picture, the others from anywhere in the ball; of their
    ends that of the highest loss is kept. Without a `step_size` it is 2.5·radius/steps. Radii are
    of pictures in [0, 1]: 8/255 is `linf`'s usual one, .5 `l2`'s.

    Against a defence that draws, the gradient is the mean over so many `draws` of it (expectation
    over transformation, Athalye et al. 2018). Against one without a useful slope, `bypass` lets
    gradients pass it as if it changed nothing (their backward-pass differentiable approximation).

    Raises:
        UserError: a radius or step size that is not positive, counts below 1.
    """

    norm: Literal["linf", "l2"] = "linf"
    radius: float = 8 / 255
    steps: int = 40
    step_size: float | None = None
    restarts: int = 1
    draws: int = 1
    bypass: bool = False

    cite: ClassVar[str] = (
        "Madry et al. 2018, Towards deep learning models resistant to adversarial attacks; "
        "Athalye, Carlini, Wagner 2018, Obfuscated gradients give a false sense of security"
    )

    def __post_init__(self) -> None:
        if self.norm not in ("linf", "l2"):
            raise UserError(f"PGD knows the norms linf and l2, got {self.norm!r}.")
        if not (self.radius > 0.0 and self.width > 0.0):
            raise UserError(
                f"radius and step_size are lengths above 0, got {self.radius} and {self.width}."
            )
        for name in ("steps", "restarts", "draws"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}.")

    @property
    def width(self) -> float:
        """The length of a step."""
        return 2.5 * self.radius / self.steps if self.step_size is None else self.step_size

    def behind(self, defence: Defence, pictures: Pictures, rng: Streams) -> Pictures:
        if not self.bypass:
            return defence(pictures, rng)
        with torch.no_grad():
            change = defence(pictures, rng) - pictures
        return pictures + change

    def found(self, loss: Loss, pictures: Pictures, rng: Streams) -> Pictures:
        best, highest = pictures, torch.full_like(pictures.flatten(1)[:, 0], -torch.inf)
        for turn in range(self.restarts):
            draws = rng.branch(f"restart {turn}")
            x = (
                self._within(pictures + self._first(pictures, draws), pictures)
                if turn
                else pictures
            )
            for step in range(self.steps):
                slope = self._slope(loss, x, draws.branch(f"step {step}"))
                x = self._within(x + self.width * self._direction(slope), pictures)
            if self.restarts == 1:
                return x
            reached = self._mean(loss, x, draws.branch("judged"))
            best = torch.where(expand(reached > highest, x) > 0, x, best)
            highest = torch.maximum(reached, highest)
        return best

    def _slope(self, loss: Loss, pictures: Pictures, rng: Streams) -> Tensor:
        """∇ of the loss summed over the draws, one draw in memory at a time."""
        total = torch.zeros_like(pictures)
        for draw in range(self.draws):
            with torch.enable_grad():
                x = pictures.detach().requires_grad_()
                value = loss(x, rng.branch(f"draw {draw}")).sum()
                total += torch.autograd.grad(value, x)[0]
        return total

    @torch.no_grad()
    def _mean(self, loss: Loss, pictures: Pictures, rng: Streams) -> Losses:
        return sum(loss(pictures, rng.branch(f"draw {draw}")) for draw in range(self.draws))

    def _direction(self, slope: Tensor) -> Tensor:
        if self.norm == "linf":
            return slope.sign()
        return slope / expand(_length(slope).clamp(min=torch.finfo(slope.dtype).tiny), slope)

    def _within(self, x: Pictures, centre: Pictures) -> Pictures:
        """The nearest picture in the ball, then in [0, 1]; as the centre is there, that does not
        leave the ball."""
        change = x - centre
        if self.norm == "linf":
            change = change.clamp(-self.radius, self.radius)
        else:
            change = change * expand((self.radius / _length(change)).clamp(max=1.0), change)
        return (centre + change).clamp(0.0, 1.0)

    def _first(self, pictures: Pictures, rng: Streams) -> Tensor:
        """A change drawn evenly from the ball."""
        event = tuple(pictures.shape[1:])
        if self.norm == "linf":
            return self.radius * (2.0 * rng.uniform(event, pictures.dtype) - 1.0)
        ray = self._direction(rng.normal(event, pictures.dtype))
        share = rng.next().uniform((), torch.float64) ** (1.0 / ray[0].numel())
        return self.radius * expand(share, ray) * ray


@dataclass(frozen=True)
class SaltAndPepper(Attack):
    """Each pixel, of all channels together, turned black or white with the chance `share`; of so
    many `tries` that of the highest loss is kept. It needs no gradient.

    Raises:
        UserError: a share outside [0, 1], fewer than 1 try.
    """

    share: float = 0.1
    tries: int = 1

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0 or self.tries < 1:
            raise UserError(
                "SaltAndPepper takes a share in [0, 1] and at least 1 try, got "
                f"{self.share} and {self.tries}."
            )

    @torch.no_grad()
    def found(self, loss: Loss, pictures: Pictures, rng: Streams) -> Pictures:
        best, highest = pictures, torch.full_like(pictures.flatten(1)[:, 0], -torch.inf)
        for turn in range(self.tries):
            draws = rng.branch(f"try {turn}")
            changed = salt_and_pepper(pictures, self.share, draws)
            reached = loss(changed, draws.branch("judged"))
            best = torch.where(expand(reached > highest, changed) > 0, changed, best)
            highest = torch.maximum(reached, highest)
        return best


def salt_and_pepper(pictures: Pictures, share: float, rng: Streams) -> Pictures:
    """Each pixel 0 with the chance share/2, 1 with the same, and as it was else (one draw)."""
    place = rng.uniform((1, *pictures.shape[2:]))
    struck = torch.where(place < 0.5 * share, 0.0, 1.0).to(pictures)
    return torch.where(place < share, struck, pictures)


def _length(change: Tensor) -> Tensor:
    return change.flatten(1).norm(dim=1)


def _must_fit(pictures: Tensor, labels: Tensor) -> None:
    if pictures.ndim != 4 or labels.shape != pictures.shape[:1] or not len(pictures):
        raise UserError(
            f"An attack wants pictures (count, channel, height, width) and a label for each, got "
            f"{tuple(pictures.shape)} and {tuple(labels.shape)}."
        )
    low, high = pictures.min().item(), pictures.max().item()
    if not (low >= 0.0 and high <= 1.0):
        raise UserError(f"Pictures to attack are in [0, 1], got {low:.3g} to {high:.3g}.")

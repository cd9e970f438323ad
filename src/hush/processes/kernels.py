"""Kernels of categorical processes: how one of K states becomes another.

A schedule says how much is left of the data: a token is still itself, untouched, with probability
κ_t = α_t² (ᾱ_t of a chain, whose β_t is then the chance of being touched at step t). A kernel says
where a touched token goes. Matrices have rows that sum to one, [Q_{t|s}]_ij = q(x_t = j | x_s = i).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from hush.schedules import Level, Schedule
from hush.tensors import Number, expand

Probabilities = Float[Tensor, "batch *event state"]
States = Int64[Tensor, "batch *event"]
Matrix = Float[Tensor, "*batch state state"]


class Kernel(ABC):
    """Where tokens go. A subclass writes `matrix` and `generator`; it may write `onward` and `back`
    where they have a form that needs no matrix. Levels are shared or per sample."""

    states: int
    """K, how many states there are, a mask counted."""

    @property
    def tokens(self) -> int:
        """How many of the states data can be in: all but a mask, which is the last."""
        return self.states

    @abstractmethod
    def matrix(self, schedule: Schedule, s: Level, t: Level) -> Matrix:
        """Q_{t|s} in float64, (K, K) for shared levels or (batch, K, K)."""

    @abstractmethod
    def generator(self, schedule: Schedule, t: Level) -> Matrix:
        """R_t with dQ_{t|s}/dt = Q_{t|s} R_t: the rates of jumps at t; rows sum to zero."""

    @abstractmethod
    def stationary(self) -> Float[Tensor, " state"]:
        """The law that all states go to."""

    def onward(self, p: Probabilities, schedule: Schedule, s: Level, t: Level) -> Probabilities:
        """The law at t of states whose law at s is p: p Q_{t|s}."""
        return _events(p, self.matrix(schedule, s, t))

    def back(self, x_t: States, schedule: Schedule, s: Level, t: Level) -> Probabilities:
        """q(x_t | x_s) as a function of x_s: the columns of Q_{t|s} at x_t."""
        columns = self.matrix(schedule, s, t).transpose(-1, -2)
        if columns.ndim == 2:
            return columns.to(x_t.device)[x_t]
        flat = x_t.flatten(1).unsqueeze(-1).expand(-1, -1, self.states)
        return columns.to(x_t.device).gather(1, flat).reshape(*x_t.shape, self.states)


def _events(p: Probabilities, matrix: Matrix) -> Probabilities:
    matrix = matrix.to(p)
    if matrix.ndim == 2:
        return p @ matrix
    return (p.flatten(1, -2) @ matrix).reshape(p.shape)


class Touch(Kernel):
    """Touched tokens become a token drawn evenly, or the mask: all in closed form.

    Of tokens unmasked at s, a share a = κ_t/κ_s is untouched at t, u = υ_t/υ_s is unmasked, and the
    rest u - a is spread evenly. A subclass says υ, the share unmasked, as a function of κ.
    """

    @abstractmethod
    def unmasked(self, keep: Number) -> Number:
        """υ(κ): the share of tokens that is not masked when κ is untouched."""

    @property
    def masks(self) -> bool:
        """Whether the last state is a mask."""
        return self.tokens < self.states

    def onward(self, p: Probabilities, schedule: Schedule, s: Level, t: Level) -> Probabilities:
        keep, stay = (expand(share, p) for share in self._shares(s, t))
        known = p[..., : self.tokens]
        total = known.sum(-1, keepdim=True)
        moved = keep * known + (stay - keep) / self.tokens * total
        if not self.masks:
            return moved
        return torch.cat((moved, p[..., self.tokens :] + (1.0 - stay) * total), -1)

    def back(self, x_t: States, schedule: Schedule, s: Level, t: Level) -> Probabilities:
        one = torch.nn.functional.one_hot(x_t, self.states).double()
        keep, stay = (expand(share, one) for share in self._shares(s, t))
        if not self.masks:
            return keep * one + (stay - keep) / self.tokens
        known, mask = one[..., : self.tokens], one[..., self.tokens :]
        even = (stay - keep) / self.tokens * (1.0 - mask)
        return torch.cat((keep * known + even + (1.0 - stay) * mask, mask), -1)

    def matrix(self, schedule: Schedule, s: Level, t: Level) -> Matrix:
        keep, _ = self._shares(s, t)
        eye = torch.eye(self.states, dtype=torch.float64)
        if not isinstance(keep, Tensor) or keep.ndim == 0:
            return self.onward(eye, schedule, s, t)
        return self.onward(eye.expand(len(keep), -1, -1), schedule, s, t)

    def generator(self, schedule: Schedule, t: Level) -> Matrix:
        """-κ'/κ of the untouched are touched; of them -υ'/υ are masked, the rest spread evenly."""
        alpha_rate, _ = schedule.rates(t)
        touched = torch.as_tensor(-2.0 * alpha_rate / t.alpha, dtype=torch.float64)
        keep = torch.as_tensor(t.alpha**2, dtype=torch.float64)
        stay, slope = torch.func.jvp(self.unmasked, (keep,), (-touched * keep,))
        masked = -slope / stay
        touched, masked = (rate.reshape(*rate.shape, 1, 1) for rate in (touched, masked))
        eye = torch.eye(self.states, dtype=torch.float64)
        even, to_mask, unmasked = torch.zeros(3, self.states, self.states, dtype=torch.float64)
        even[: self.tokens, : self.tokens] = 1.0 / self.tokens
        if self.masks:
            to_mask[: self.tokens, -1] = 1.0
        unmasked[: self.tokens] = eye[: self.tokens]
        return (touched - masked) * even + masked * to_mask - touched * unmasked

    def stationary(self) -> Float[Tensor, " state"]:
        law = torch.zeros(self.states, dtype=torch.float64)
        left = float(self.unmasked(0.0))
        law[: self.tokens] = left / self.tokens
        if self.masks:
            law[-1] = 1.0 - left
        return law

    def _shares(self, s: Level, t: Level) -> tuple[Number, Number]:
        before, after = s.alpha**2, t.alpha**2
        return after / before, self.unmasked(after) / self.unmasked(before)


@dataclass(frozen=True)
class Uniform(Touch):
    """A touched token becomes any, evenly: Q_t = (1 - β_t) I + β_t 11ᵀ/K.

    Hoogeboom et al. 2021, "Argmax flows and multinomial diffusion"; Austin et al. 2021, "Structured
    denoising diffusion models in discrete state-spaces" (D3PM), appendix A.2.1.
    """

    states: int = 4

    def unmasked(self, keep: Number) -> Number:
        return 0.0 * keep + 1.0


@dataclass(frozen=True)
class MaskAndReplace(Touch):
    """A touched token becomes the mask, or any token evenly: γ̄_t = share·(1 - κ_t) are masked,
    κ_t untouched, the rest spread evenly over the `states` - 1 tokens. The mask is the last state
    and stays.

    Gu et al. 2022, "Vector quantized diffusion model for text-to-image synthesis", eq. 7 and 8.
    """

    states: int = 5
    share: float = 0.9

    @property
    def tokens(self) -> int:
        return self.states - 1

    def unmasked(self, keep: Number) -> Number:
        return 1.0 - self.share * (1.0 - keep)


@dataclass(frozen=True)
class Absorbing(Touch):
    """A touched token becomes the mask, the last state, for good: Q_t = (1 - β_t) I + β_t 1e_mᵀ.

    Austin et al. 2021 (D3PM), appendix A.2.2; on the chain of `absorbing_betas` a share t/T is
    masked.
    """

    states: int = 5

    @property
    def tokens(self) -> int:
        return self.states - 1

    def unmasked(self, keep: Number) -> Number:
        return keep

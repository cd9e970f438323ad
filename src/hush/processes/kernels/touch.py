"""Kernels in closed form: a touched token becomes any other, or a mask."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from hush.processes.kernels.base import Kernel, Matrix, Probabilities, States
from hush.schedules import Level, Schedule
from hush.tensors import Number, expand


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

    def forth(self, x_s: States, schedule: Schedule, s: Level, t: Level) -> Probabilities:
        certain = torch.nn.functional.one_hot(x_s, self.states).double()
        return self.onward(certain, schedule, s, t)

    def back(self, x_t: States, schedule: Schedule, s: Level, t: Level) -> Probabilities:
        one = torch.nn.functional.one_hot(x_t, self.states).double()
        keep, stay = (expand(share, one) for share in self._shares(s, t))
        if not self.masks:
            return keep * one + (stay - keep) / self.tokens
        known, mask = one[..., : self.tokens], one[..., self.tokens :]
        even = (stay - keep) / self.tokens * (1.0 - mask)
        return torch.cat((keep * known + even + (1.0 - stay) * mask, mask), -1)

    def matrix(self, schedule: Schedule, s: Level, t: Level) -> Matrix:
        keep = torch.as_tensor(self._shares(s, t)[0])
        eye = torch.eye(self.states, dtype=torch.float64, device=keep.device)
        return self.onward(eye.expand(*keep.shape, -1, -1), schedule, s, t)

    def generator(self, schedule: Schedule, t: Level) -> Matrix:
        """-κ'/κ of the untouched are touched; of them -υ'/υ are masked, the rest spread evenly."""
        alpha_rate, _ = schedule.rates(t)
        touched = torch.as_tensor(-2.0 * alpha_rate / t.alpha, dtype=torch.float64)
        keep = torch.as_tensor(t.alpha**2, dtype=torch.float64)
        stay, slope = torch.func.jvp(self.unmasked, (keep,), (-touched * keep,))
        masked = -slope / stay
        touched, masked = touched[..., None, None], masked[..., None, None]
        even, to_mask, unmasked = touched.new_zeros(3, self.states, self.states)
        even[: self.tokens, : self.tokens] = 1.0 / self.tokens
        if self.masks:
            to_mask[: self.tokens, -1] = 1.0
        unmasked.diagonal()[: self.tokens] = 1.0
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
        return keep + (1.0 - self.share) * (1.0 - keep)


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

"""The kernel of ordered states: a step goes to near ones more often than to far ones."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from hush.errors import UserError
from hush.processes.kernels.base import Kernel, Matrix
from hush.schedules import Level, Schedule, Tabulated
from hush.tensors import Number


@dataclass(frozen=True)
class DiscretisedGaussian(Kernel):
    """Steps of a chain over ordered states (grey levels), with a bell curve's weights:

    [Q_t]_ij = exp(-4(i-j)²/((K-1)² β_t)) / Σ_{n=-(K-1)}^{K-1} exp(-4n²/((K-1)² β_t)) for i ≠ j, and
    the diagonal what the rest of its row leaves; symmetric, so rows and columns sum to one.

    The chain's own β_t say how wide each step is; κ_t means nothing here. Each is taken at once: a
    time between two steps stands at the noisier one. The steps do not commute, so there is no
    closed form: Q̄ of every step is computed once and kept (T + 1 matrices of float64, 0.5 GB for a
    chain of 1000 over 256 states). Austin et al. 2021 (D3PM), appendix A.2.3.

    Raises:
        UserError: from `matrix`, for a continuous schedule; from `generator`, always.
    """

    states: int = 5

    def matrix(self, schedule: Schedule, s: Level, t: Level) -> Matrix:
        """Q_{t|s}: the product of the steps between; fastest from the data, or of one step."""
        chain = _chain(schedule)
        first, last = _step(chain, s.time), _step(chain, t.time)
        if bool((first == 0).all()):
            return _from_data(self, chain, last.device)[last]
        if bool((last - first <= 1).all()):
            betas = torch.tensor((0.0, *chain.betas), dtype=torch.float64, device=last.device)
            return self.steps(betas[last] * (last > first))
        pairs = torch.stack((first, last), -1)
        known, place = pairs.reshape(-1, 2).unique(dim=0, return_inverse=True)
        between = torch.stack([_between(self, chain, *pair) for pair in known.tolist()])
        return between.to(place.device)[place.reshape(last.shape)]

    def generator(self, schedule: Schedule, t: Level) -> Matrix:
        raise UserError(
            "A discretised Gaussian kernel is a chain of steps, with no rates between them: bound "
            "the likelihood by the chain's own steps, or use Banded(), its relative that has rates."
        )

    def stationary(self) -> Float[Tensor, " state"]:
        return torch.full((self.states,), 1.0 / self.states, dtype=torch.float64)

    def steps(self, betas: Float[Tensor, " *batch"]) -> Matrix:
        """Q_t of one step of each β; β = 0 moves nothing."""
        place = torch.arange(self.states, dtype=torch.float64, device=betas.device)
        apart = (place[:, None] - place).square()
        narrow = -4.0 / ((self.states - 1) ** 2 * betas[..., None, None])
        total = 2.0 * (narrow * place[1:].square()).exp().sum(-1, keepdim=True) + 1.0
        away = torch.where(apart > 0.0, (narrow * apart).exp() / total, 0.0)
        return away + (1.0 - away.sum(-1)).diag_embed()


def _chain(schedule: Schedule) -> Tabulated:
    if not isinstance(schedule, Tabulated):
        raise UserError(
            f"A discretised Gaussian kernel makes the steps of a chain, and {schedule} is "
            "continuous: give the process a Tabulated schedule, or the kernel Banded()."
        )
    return schedule


def _step(chain: Tabulated, time: Number) -> Int64[Tensor, " *batch"]:
    """The step that a time stands at: i itself, however i/T was rounded."""
    return (torch.as_tensor(time, dtype=torch.float64) * chain.steps - 1e-9).ceil().long()


@lru_cache(maxsize=4)
def _from_data(
    kernel: DiscretisedGaussian, chain: Tabulated, device: torch.device
) -> Float[Tensor, "steps_and_0 state state"]:
    """Q̄_0 … Q̄_T."""
    table = torch.empty(chain.steps + 1, kernel.states, kernel.states, dtype=torch.float64)
    table[0] = torch.eye(kernel.states, dtype=torch.float64)
    for step, beta in enumerate(chain.betas):
        table[step + 1] = table[step] @ kernel.steps(torch.tensor(beta, dtype=torch.float64))
    return table.to(device)


@lru_cache(maxsize=128)
def _between(
    kernel: DiscretisedGaussian, chain: Tabulated, first: int, last: int
) -> Float[Tensor, "state state"]:
    """Q_{first + 1} … Q_{last}, one step after the other."""
    product = torch.eye(kernel.states, dtype=torch.float64)
    for beta in chain.betas[first:last]:
        product = product @ kernel.steps(torch.tensor(beta, dtype=torch.float64))
    return product

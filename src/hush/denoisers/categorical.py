"""A network as a categorical belief over tokens."""

import math

from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from hush.denoisers.base import Denoiser
from hush.denoisers.gaussian import ticks
from hush.denoisers.parameterisations import steps_or_time
from hush.distributions import Categorical
from hush.processes import CategoricalProcess, Moment
from hush.tensors import Condition


class CategoricalDenoiser(Denoiser):
    """p(x_0 | x_t) ∝ p̃(x_0)·q(x_t | x_0), p̃ the softmax of network(x_t, clock, cond).

    The network maps tokens (batch, *event) to logits (batch, *event, tokens), a mask left out.
    Bayes' rule with what x_t itself says makes the reverse step D3PM's, p(x_s | x_t) ∝
    Σ_{x_0} q(x_s, x_t | x_0) p̃(x_0) (Austin et al. 2021, eq. 4), and with a mask keeps every token
    that is not masked. With `evidence=False` the network's answer is the posterior as it stands.
    """

    def __init__(
        self, process: CategoricalProcess, network: nn.Module, evidence: bool = True
    ) -> None:
        super().__init__()
        self.process, self.network, self.evidence = process, network, evidence

    def forward(
        self, x_t: Int64[Tensor, " batch *event"], t: Moment, cond: Condition | None = None
    ) -> Categorical:
        schedule, kernel = self.process.schedule, self.process.kernel
        level = schedule.level(t)
        answer = self.network(x_t, ticks(steps_or_time(schedule, level), x_t), cond)
        logits = _with_mask(answer.float(), kernel.states)
        if self.evidence:
            logits = logits + self.process.seen(x_t, level).logits.to(logits)
        return Categorical(logits)


def _with_mask(
    logits: Float[Tensor, "batch *event token"], states: int
) -> Float[Tensor, "batch *event state"]:
    """Data are never the mask."""
    return functional.pad(logits, (0, states - logits.shape[-1]), value=-math.inf)

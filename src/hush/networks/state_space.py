"""Linear state spaces as layers: a recurrence over a sequence, computed as one long convolution."""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn import functional

from hush.networks.dropout import Dropout
from hush.networks.layers import Map

STEPS = (0.001, 0.1)  # between which the layers' step sizes begin, evenly in their logarithm

Kernel = Float[Tensor, "direction channel length"]


def legs(states: int) -> Float[Tensor, " half"]:
    """ω > 0 of the pairs of eigenvalues -½ ± iω of HiPPO-LegS's normal part, A + P Pᵀ, which has
    `states` states:

    A_nk = -√((2n + 1)(2k + 1)) for n > k, -(n + 1) for n = k, else 0; P_n = √(n + ½).

    Gu et al. 2022, "Efficiently modeling long sequences with structured state spaces", theorem 1.
    """
    place = torch.arange(states, dtype=torch.float64)
    root = (2.0 * place + 1.0).sqrt()
    skew = 0.5 * torch.outer(root, root)
    skew = skew.triu(1) - skew.tril(-1)  # A + P Pᵀ + ½ I
    return torch.linalg.eigvalsh(1j * skew)[states - states // 2 :]


class StateSpace(nn.Module):
    """Each channel u by a linear recurrence of its own, with `states` states,

        x_k = Ā x_{k-1} + B̄ u_k,  y_k = Re C x_k + D u_k,

    the zero-order hold of x' = A x + u at a step Δ that is learnt: Ā = exp(ΔA), B̄ = (Ā - 1)/A.
    A is diagonal, of conjugate pairs that begin as those of HiPPO-LegS. It is computed as the
    convolution with K_l = Re C Āˡ B̄, in O(length log length). When `both`, a second C reads the
    sequence from its end, from the next place on.

    Gu et al. 2022, "Efficiently modeling long sequences with structured state spaces"; Gu, Gupta,
    Goel, Ré 2022, "On the parameterization and initialization of diagonal state space models".
    """

    def __init__(self, channels: int, states: int = 64, both: bool = True) -> None:
        super().__init__()
        low, high = (math.log(step) for step in STEPS)
        self.log_step = nn.Parameter(low + (high - low) * torch.rand(channels))
        self.log_decay = nn.Parameter(torch.full((channels, states // 2), math.log(0.5)))
        self.frequency = nn.Parameter(legs(states).float().repeat(channels, 1))
        self.read = nn.Parameter(torch.randn(1 + both, channels, states // 2, 2) * 0.5**0.5)
        self.skip = nn.Parameter(torch.randn(channels))

    def discrete(
        self,
    ) -> tuple[
        Complex[Tensor, "channel half"],
        Complex[Tensor, "channel half"],
        Complex[Tensor, "direction channel half"],
    ]:
        """(log Ā, B̄, C), of one of every pair of conjugate states; C is doubled for the other."""
        rate = torch.complex(-self.log_decay.exp(), self.frequency)
        log_a = self.log_step.exp().unsqueeze(1) * rate
        return log_a, torch.expm1(log_a) / rate, 2.0 * torch.view_as_complex(self.read)

    def kernel(self, length: int) -> Kernel:
        """K_0 … K_{length - 1} of each direction."""
        log_a, enters, read = self.discrete()
        place = torch.arange(length, device=log_a.device)
        powers = (log_a.unsqueeze(-1) * place).exp()
        return torch.einsum("dcn,cnl->dcl", read * enters, powers).real

    def forward(self, u: Map) -> Map:
        # There is no Fourier transform of half precision everywhere, and sums are long.
        given, u = u, u.to(torch.promote_types(u.dtype, torch.float32))
        with torch.autocast(u.device.type, enabled=False):
            length = u.shape[-1]
            ahead, *behind = self.kernel(length)
            kernel = functional.pad(ahead, (0, length))
            if behind:
                kernel = kernel + functional.pad(behind[0].flip(-1), (length, 0))
            spectrum = torch.fft.rfft(kernel) * torch.fft.rfft(u, 2 * length)
            y = torch.fft.irfft(spectrum, 2 * length)[..., :length]
            return (y + self.skip.unsqueeze(1) * u).to(given.dtype)


class StateSpaceLayer(nn.Module):
    """A state space of every channel, GELU and a mixing of the channels; added and normalised over
    the channels of each place."""

    def __init__(self, channels: int, states: int = 64, dropout: float = 0.0) -> None:
        super().__init__()
        self.space = StateSpace(channels, states)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Map) -> Map:
        mixed = self.mix(functional.gelu(self.space(x)))
        return self.norm((x + self.dropout(mixed)).mT).mT

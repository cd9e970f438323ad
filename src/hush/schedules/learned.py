"""The schedule that is learned with the network."""

from typing import ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from hush.errors import UserError
from hush.schedules.base import Level, Schedule, Times
from hush.tensors import Number

KNOTS = 1025  # the curve is inverted piece by piece
STEEPNESS = 8.0  # of every sigmoid at first: it bends over about half of the time


class Learned(nn.Module, Schedule):
    """α² = sigmoid(-γ), σ² = sigmoid(γ): γ, minus the log-SNR, is a monotone network of the time,

        γ(t) = γ_0 + (γ_1 - γ_0) n(u),   u = (t - start)/(1 - start),   n(0) = 0,   n(1) = 1,

    where n is ñ(u) = |a| u + mean_k |h_k| sigmoid(|w_k| u - b_k), shifted and scaled to its ends,
    and all but straight at first. γ_0 and γ_1 begin at `gamma_min` and `gamma_max`, and weight
    decay pulls them back there. `LearnedBound` trains them and n, each for its own end.

    Kingma et al. give the data themselves the noise of γ_0. As every schedule of hush this one has
    none at t = 0: up to `start` σ/α rises in proportion to t, and from there the curve is theirs.

    Raises:
        UserError: gamma_min is not below gamma_max, or start not between 0 and 1.
    """

    cite: ClassVar[str] = (
        "Kingma, Salimans, Poole, Ho 2021, Variational diffusion models, appendix H"
    )

    def __init__(
        self,
        gamma_min: float = -13.3,
        gamma_max: float = 5.0,
        start: float = 1e-5,
        units: int = 1024,
    ) -> None:
        super().__init__()
        if not (gamma_min < gamma_max and 0.0 < start < 1.0):
            raise UserError(
                "A learned schedule wants gamma_min < gamma_max and 0 < start < 1, got "
                f"{gamma_min:g}, {gamma_max:g} and {start:g}."
            )
        self.first_ends, self.start = (gamma_min, gamma_max), start
        self.moved = nn.Parameter(torch.zeros(2))
        self.slope = nn.Parameter(torch.ones(()))
        self.heights = nn.Parameter(torch.full((units,), 0.01))
        self.slopes = nn.Parameter(torch.full((units,), STEEPNESS))
        self.thresholds = nn.Parameter(STEEPNESS * torch.linspace(0.0, 1.0, units))

    def extra_repr(self) -> str:
        first, last = self.ends.tolist()
        return f"γ_0={first:.3g}, γ_1={last:.3g}, start={self.start:g}"

    @property
    def ends(self) -> Float64[Tensor, " 2"]:
        """(γ_0, γ_1)."""
        moved = self.moved.double()
        return moved + moved.new_tensor(self.first_ends)

    def interior(self, t: Times) -> tuple[Times, Times]:
        """n and dn/du at the times t (0 and n'(0) before `start`)."""
        return self._share(((t - self.start) / (1.0 - self.start)).clamp(min=0.0))

    def _share(self, u: Times) -> tuple[Times, Times]:
        """n and dn/du at the times u of the learned curve."""
        low, high = self._climb(u.new_tensor((0.0, 1.0)))[0]
        climbed, speed = self._climb(u)
        return (climbed - low) / (high - low), speed / (high - low)

    def _climb(self, u: Times) -> tuple[Times, Times]:
        """ñ and dñ/du."""
        slope, heights, slopes = (
            part.to(u).abs() for part in (self.slope, self.heights, self.slopes)
        )
        bend = (u.unsqueeze(-1) * slopes - self.thresholds.to(u)).sigmoid()
        climbed = slope * u + (heights * bend).mean(-1)
        return climbed, slope + (heights * slopes * bend * (1.0 - bend)).mean(-1)

    def forward(self, t: Times) -> tuple[Times, Times]:
        first, last = self.ends.to(t)  # a grid's times are not where the weights are
        early = 2.0 * (t / self.start).clamp(max=1.0).log()
        gamma = first + (last - first) * self.interior(t)[0] + early
        return (-gamma).sigmoid().sqrt(), gamma.sigmoid().sqrt()

    def rates(self, t: Level | Number) -> tuple[Number, Number]:
        """(dα/dt, dσ/dt) = (-α²σ, α³) r', r = σ/α."""
        level = self.level(t)
        time, alpha, sigma = (torch.as_tensor(part, dtype=torch.float64) for part in level)
        first, last = self.ends.to(time)
        growth = 0.5 * (last - first) * self.interior(time)[1] / (1.0 - self.start)
        early = (0.5 * first).exp() / self.start
        climb = torch.where(time < self.start, early, growth * sigma / alpha)
        rates = -(alpha**2) * sigma * climb, alpha**3 * climb
        if isinstance(level.time, Tensor):
            return rates
        return rates[0].item(), rates[1].item()

    @torch.no_grad()
    def time(self, log_snr: Times) -> Times:
        first, last = self.ends.to(log_snr)
        share = ((-log_snr - first) / (last - first)).clamp(0.0, 1.0)
        knots = torch.linspace(0.0, 1.0, KNOTS, dtype=log_snr.dtype, device=log_snr.device)
        after = torch.searchsorted(self._share(knots)[0], share).clamp(1, KNOTS - 1)
        low, high = knots[after - 1], knots[after]
        u = 0.5 * (low + high)
        for _ in range(5):  # of Newton, in a piece so short that it is nearly straight
            reached, speed = self._share(u)
            u = torch.clamp(u - (reached - share) / speed, low, high)
        early = (0.5 * (-log_snr - first)).exp().clamp(max=1.0)
        late = torch.where(share < 1.0, u, 1.0)
        return self.start * early + (1.0 - self.start) * torch.where(share > 0.0, late, 0.0)

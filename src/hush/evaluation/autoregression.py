"""Vector autoregression: the law of several channels' future, in closed form."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from hush.errors import UserError
from hush.evaluation.naive import linear_interpolation
from hush.rng import derive

Values = Float[Tensor, "window channel length"]
Samples = Float[Tensor, "window sample channel length"]


@dataclass(frozen=True)
class Autoregression:
    """x_t = intercept + Σ_l coefficients[l - 1] x_{t-l} + N(0, covariance)."""

    intercept: Float64[Tensor, " channel"]
    coefficients: Float64[Tensor, "lag channel channel"]
    covariance: Float64[Tensor, "channel channel"]

    def predictive(
        self, past: Float64[Tensor, "*window channel time"], horizon: int
    ) -> tuple[
        Float64[Tensor, "*window channel horizon"], Float64[Tensor, "horizon channel channel"]
    ]:
        """The mean of each step after the past, and its covariance, which no past changes:

        Σ_{i<k} Ψ_i Q Ψ_iᵀ at step k, with Ψ_0 = I and Ψ_i = Σ_l A_l Ψ_{i-l}; for one lag
        N(Aᵏ x, Σ_{i<k} Aⁱ Q Aⁱᵀ). Lütkepohl 2005, "New introduction to multiple time series
        analysis", equations 2.2.6 and 2.2.11.
        """
        lags, channels = self.coefficients.shape[:2]
        states = list(past[..., -lags:].unbind(-1))
        moved = [torch.eye(channels, dtype=torch.float64)]
        spread = torch.zeros(channels, channels, dtype=torch.float64)
        spreads = []
        for step in range(horizon):
            states.append(self._mean(states))
            spread = spread + moved[step] @ self.covariance @ moved[step].T
            spreads.append(spread)
            latest = reversed(moved[-lags:])
            moved.append(sum(a @ m for a, m in zip(self.coefficients, latest, strict=False)))
        return torch.stack(states[-horizon:], -1), torch.stack(spreads)

    def samples(self, values: Values, horizon: int, count: int = 100, seed: int = 0) -> Samples:
        """Futures (window, sample, channel, length) of the windows' last `horizon` stamps, which
        are not looked at; the past, told by straight lines where it is missing, comes first.

        Raises `UserError` for a context shorter than the lags.
        """
        lags, context = len(self.coefficients), values.shape[-1] - horizon
        if horizon < 1 or context < lags:
            raise UserError(
                f"horizon={horizon} leaves {context} of {values.shape[-1]} stamps before it; "
                f"expected a horizon of at least 1 and a context of at least {lags}, the lags."
            )
        stamps = torch.arange(context).expand(len(values), -1).double()
        past = linear_interpolation(values[..., :context], stamps)[:, 0].double().cpu()
        states = list(past.unsqueeze(1).expand(-1, count, -1, -1).unbind(-1))
        random = np.random.default_rng(derive(seed, "autoregression"))
        variances, axes = torch.linalg.eigh(self.covariance)  # of channels alike it is singular
        root = axes * variances.clamp_min(0.0).sqrt()
        for _ in range(horizon):
            # A copy, as a product's last bit depends on where in memory its factors lie.
            noise = torch.from_numpy(random.standard_normal(states[-1].shape)).clone()
            states.append(self._mean(states) + noise @ root.T)
        return torch.stack(states, -1).to(values)

    def _mean(self, states: list[Tensor]) -> Tensor:
        latest = states[: -len(self.coefficients) - 1 : -1]
        moved = (x @ a.T for a, x in zip(self.coefficients, latest, strict=True))
        return self.intercept + sum(moved)


def fit_autoregression(past: Float[Tensor, "channel time"], lags: int = 1) -> Autoregression:
    """The autoregression of least squares; gaps are told by straight lines first.

    Its covariance is the residuals' sum of squares over stamps less coefficients, as statsmodels'
    VAR has it. Raises `UserError` for a past too short for so many coefficients.
    """
    channels, count = past.shape
    needed = lags + 2 + lags * channels
    if lags < 1 or count < needed:
        raise UserError(
            f"fit_autoregression got {count} stamps of {channels} channels and lags={lags}; "
            f"expected lags of at least 1 and then {needed} stamps."
        )
    stamps = torch.arange(count).unsqueeze(0).double()
    x = linear_interpolation(past.unsqueeze(0), stamps)[0, 0].double().cpu().T
    before = [x[lags - lag : count - lag] for lag in range(1, lags + 1)]
    design = torch.cat([torch.ones(count - lags, 1, dtype=torch.float64), *before], 1)
    # Of the drivers that bear channels alike, the one that gives the same bits every time.
    found = torch.linalg.lstsq(design, x[lags:], driver="gelsd").solution
    left = x[lags:] - design @ found
    covariance = left.T @ left / (count - lags - design.shape[1])
    coefficients = found[1:].unflatten(0, (lags, channels)).transpose(1, 2)
    return Autoregression(found[0], coefficients, covariance)

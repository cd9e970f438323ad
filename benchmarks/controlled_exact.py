"""Equations of which everything is known: paths, and the exact law of what is hidden of them."""

import math

import numpy as np
import torch
from scipy.linalg import expm, solve_continuous_lyapunov
from torch import Tensor

from hush.evaluation.forecasts import gaussian_crps
from hush.evaluation.gaussian_process import gaussian_process_posterior

PLACES, REACH, FINE = 240, 2.5, 0.002


class Linear:
    """dX = -A X dt + diag(noise) dW, the W correlated by `shared`, at rest: a Gaussian process with
    Cov(X_t, X_s) = e^{-A(t-s)} C for t ≥ s, A C + C Aᵀ = Q, Q the covariance of the noise. A share
    `known` of all values is."""

    def __init__(
        self, matrix: list, noise: list[float], shared: float = 0.0, known: float = 1.0
    ) -> None:
        self.matrix, self.noise, self.shared, self.known = np.array(matrix), noise, shared, known
        size = len(noise)
        links = np.full((size, size), shared) + (1.0 - shared) * np.eye(size)
        self.rest = solve_continuous_lyapunov(self.matrix, np.outer(noise, noise) * links)

    def drift(self, x: Tensor) -> Tensor:
        return -x @ torch.from_numpy(self.matrix).T

    def path(self, stamps: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """(stamp, channel) values, drawn from the exact transitions."""
        size = len(self.noise)
        x = [np.linalg.cholesky(self.rest) @ random.standard_normal(size)]
        for gap in np.diff(stamps):
            kept = expm(-self.matrix * gap)
            spread = np.linalg.cholesky(self.rest - kept @ self.rest @ kept.T)
            x.append(kept @ x[-1] + spread @ random.standard_normal(size))
        return np.stack(x)

    def posterior(self, stamps: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, deviation), each (channel, stamp)."""
        size, length = given.shape
        whole = np.empty((length, size, length, size))
        for i, t in enumerate(stamps.tolist()):
            for k, s in enumerate(stamps.tolist()[: i + 1]):
                whole[i, :, k] = expm(-self.matrix * (t - s)) @ self.rest
                whole[k, :, i] = whole[i, :, k].T
        covariance = torch.from_numpy(whole.reshape(length * size, -1))
        values = given.T.flatten().double()
        seen = ~values.isnan()
        mean, law = gaussian_process_posterior(covariance, values.nan_to_num(), seen)
        deviation = law.diagonal().clamp(min=1e-12).sqrt()
        return mean.reshape(length, size).T, deviation.reshape(length, size).T

    def crps(self, stamps: Tensor, given: Tensor, truth: Tensor) -> Tensor:
        """(channel, stamp) of the exact posterior at the truth."""
        return gaussian_crps(*self.posterior(stamps, given), truth.double())

    def quantiles(self, stamps: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """The 5 % and the 95 % quantile, each (channel, stamp)."""
        mean, deviation = self.posterior(stamps, given)
        return mean - 1.6449 * deviation, mean + 1.6449 * deviation


class Well:
    """dX = strength (X - X³) dt + noise dW, one channel, at rest ∝ exp(-2V/noise²). Its law is that
    of a Markov chain on `PLACES` between ±`REACH`, whose steps to neighbours keep that law."""

    known, shared = 1.0, 0.0

    def __init__(self, strength: float, noise: float) -> None:
        self.strength, self.noise = strength, [noise]
        self.place = np.linspace(-REACH, REACH, PLACES)
        height = strength * (self.place**4 / 4.0 - self.place**2 / 2.0)
        width = self.place[1] - self.place[0]
        over = np.exp(-np.diff(height) / noise**2) * noise**2 / (2.0 * width**2)
        back = np.exp(np.diff(height) / noise**2) * noise**2 / (2.0 * width**2)
        rates = np.diag(over, 1) + np.diag(back, -1)
        rates -= np.diag(rates.sum(1))
        rest = np.exp(-2.0 * (height - height.min()) / noise**2)
        self.rest, self.root = rest / rest.sum(), np.sqrt(rest / rest.sum())
        even = self.root[:, None] * rates / self.root
        self.speeds, self.waves = np.linalg.eigh(0.5 * (even + even.T))

    def drift(self, x: Tensor) -> Tensor:
        return self.strength * (x - x**3)

    def path(self, stamps: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """(stamp, 1) values, in Euler-Maruyama steps of at most `FINE`."""
        x, found = random.choice(self.place, p=self.rest), []
        for gap in np.diff(stamps, prepend=stamps[0] - 1.0):
            count = math.ceil(gap / FINE)
            for draw in random.standard_normal(count) * self.noise[0] * (gap / count) ** 0.5:
                x += self.strength * (x - x**3) * gap / count + draw
            found.append([x])
        return np.array(found)

    def laws(self, stamps: Tensor, given: Tensor) -> np.ndarray:
        """(stamp, place) the chance of each place, by the forward-backward algorithm."""
        gaps, points = np.diff(stamps.numpy()), [self._point(x) for x in given[0].tolist()]
        before, after = [self.rest * points[0]], [np.ones(PLACES)]
        for gap, point in zip(gaps, points[1:], strict=True):
            law = point * (self._moved(before[-1] / self.root, gap) * self.root)
            before.append(law / law.sum())
        for gap, point in zip(gaps[::-1], points[:0:-1], strict=True):
            chance = self._moved(point * after[-1] * self.root, gap) / self.root
            after.append(np.clip(chance, 0.0, None) / np.abs(chance).max())
        laws = np.clip(np.stack(before), 0.0, None) * np.stack(after[::-1])
        return laws / laws.sum(1, keepdims=True)

    def crps(self, stamps: Tensor, given: Tensor, truth: Tensor) -> Tensor:
        """∫ (F(z) - 1[z ≥ y])² dz, (1, stamp)."""
        laws, width = self.laws(stamps, given), self.place[1] - self.place[0]
        shares = laws.cumsum(1) - 0.5 * laws
        above = np.clip((self.place - truth.T.numpy()) / width + 0.5, 0.0, 1.0)
        return torch.from_numpy((width * (shares - above) ** 2).sum(1)).unsqueeze(0)

    def quantiles(self, stamps: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        shares = self.laws(stamps, given).cumsum(1)
        found = [torch.from_numpy(self.place[(shares < q).sum(1)]) for q in (0.05, 0.95)]
        return found[0].unsqueeze(0), found[1].unsqueeze(0)

    def _point(self, value: float) -> np.ndarray:
        """1 everywhere where nothing is known, else shared by the two places beside it."""
        if value != value:
            return np.ones(PLACES)
        width = self.place[1] - self.place[0]
        return np.clip(1.0 - np.abs(self.place - value) / width, 0.0, None)

    def _moved(self, even: np.ndarray, gap: float) -> np.ndarray:
        return self.waves @ (np.exp(self.speeds * gap) * (self.waves.T @ even))


def lined(stamps: Tensor, given: Tensor) -> Tensor:
    """Lines between what is known of each channel, level beyond; 0 where nothing is."""
    rows = []
    for row in given.double():
        seen = ~row.isnan()
        known = (stamps[seen].numpy(), row[seen].numpy()) if seen.any() else ([0.0], [0.0])
        rows.append(torch.from_numpy(np.interp(stamps.numpy(), *known)))
    return torch.stack(rows)

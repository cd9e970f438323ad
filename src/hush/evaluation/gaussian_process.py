"""Gaussian processes over time: the exact posterior, and one fitted to each window."""

import warnings
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from hush.errors import UserError, nearest
from hush.rng import derive

Values = Float[Tensor, "window channel length"]
Samples = Float[Tensor, "window sample channel length"]
Name = Literal["rbf", "matern", "periodic"]
_KERNELS = ("rbf", "matern", "periodic")
_JITTER = 1e-10  # of the variance, so that a covariance has a root


def gaussian_process_posterior(
    covariance: Float[Tensor, "length length"],
    values: Float[Tensor, " length"],
    seen: Bool[Tensor, " length"],
    noise: float = 0.0,
) -> tuple[Float64[Tensor, " length"], Float64[Tensor, "length length"]]:
    """The mean and covariance at every stamp of a centred Gaussian process, given what is seen.

    With K the covariance, o the seen stamps and G = K_·o (K_oo + noise I)⁻¹:
    mean G y_o and covariance K - G K_o·. `noise` is the variance of the error of what is seen,
    not in the answer. Rasmussen and Williams 2006, "Gaussian processes for machine learning",
    equations 2.23 and 2.24.
    """
    full = covariance.double()
    seen_noise = noise * torch.eye(int(seen.sum()), dtype=torch.float64, device=full.device)
    gain = torch.linalg.solve(full[seen][:, seen] + seen_noise, full[seen]).T
    return gain @ values.double()[seen], full - gain @ full[seen]


def gaussian_process(
    values: Values,
    time: Float[Tensor, "window length"],
    kernel: Name | Any = "rbf",
    period: float | None = None,
    samples: int = 100,
    seed: int = 0,
) -> Samples:
    """Draws of a Gaussian process fitted to what each channel of each window knows, NaN being what
    it does not; the known values come back as they are.

    `kernel` is "rbf", "matern" (ν = 3/2) or "periodic" (a season of `period` sampling steps and an
    RBF), each with scales and a noise, fitted by likelihood around the window's mean, in units of
    its deviation. Or it is a kernel of scikit-learn, taken as it is, around 0 and in the values'
    units. A draw has the kernel's own noise (WhiteKernel). With fewer than 2 values known the law
    is a Gaussian of the channel's mean and deviation over all windows. Raises `UserError` for an
    unknown kernel.
    """
    if isinstance(kernel, str) and kernel not in _KERNELS:
        raise UserError(f"kernel={kernel}: no such kernel; {nearest(kernel, _KERNELS)}")
    random = np.random.default_rng(derive(seed, "gaussian process"))
    told = values.double().unsqueeze(1).repeat(1, samples, 1, 1)
    stamps, held = time.double().cpu(), values.double().cpu()
    for i, window in enumerate(held):
        for k, channel in enumerate(window):
            seen = ~channel.isnan()
            if not seen.all():
                every = held[:, k][~held[:, k].isnan()]
                law = _law(channel, seen, stamps[i], kernel, period, every)
                told[i, :, k, ~seen] = _drawn(*law, samples, random).to(told)
    return told.to(values)


def _law(
    channel: Tensor, seen: Tensor, stamps: Tensor, kernel: Any, period: float | None, every: Tensor
) -> tuple[Tensor, Tensor]:
    """(mean, covariance) of what is not seen, its noise with it."""
    hidden = ~seen
    if seen.sum() < 2 and isinstance(kernel, str):
        spread = every.var() if len(every) > 1 else torch.ones((), dtype=torch.float64)
        count = int(hidden.sum())
        centre = every.mean() if len(every) else torch.zeros((), dtype=torch.float64)
        return centre.expand(count), spread * torch.eye(count, dtype=torch.float64)
    centre, scale = channel.new_zeros(()), channel.new_ones(())
    known = channel[seen]
    if isinstance(kernel, str):
        centre = known.mean()
        scale = known.std(correction=0)
        scale = scale if scale > 0 else channel.new_ones(())
        kernel = _fitted(((known - centre) / scale).numpy(), stamps[seen].numpy(), kernel, period)
    points = stamps.numpy()[:, None]
    # Between a row of points and itself scikit-learn adds the noise; between two rows it does not.
    covariance = torch.from_numpy(kernel(points, points))
    noise = torch.from_numpy(kernel.diag(points)) - covariance.diagonal()
    level = float(noise.mean()) + _JITTER * float(covariance.diagonal().mean())
    standard = torch.where(seen, (channel - centre) / scale, 0.0)
    mean, law = gaussian_process_posterior(covariance, standard, seen, level)
    law = law[hidden][:, hidden] + torch.diag(noise[hidden])
    return centre + scale * mean[hidden], scale**2 * law


def _fitted(values: np.ndarray, stamps: np.ndarray, name: str, period: float | None) -> Any:
    """The kernel that makes the values likeliest."""
    from sklearn.gaussian_process import GaussianProcessRegressor, kernels

    reach = max(float(np.ptp(stamps)), 1.0)
    kernel = kernels.ConstantKernel(1.0, (1e-3, 1e3))
    if name == "matern":
        kernel *= kernels.Matern(3.0, (0.3, 10 * reach), nu=1.5)
    else:
        kernel *= kernels.RBF(3.0, (0.3, 10 * reach))
    if name == "periodic":
        bounds = "fixed" if period else (2.0, reach + 2.0)
        wave = kernels.ExpSineSquared(1.0, period or 12.0, (0.1, 10.0), bounds)
        kernel += kernels.ConstantKernel(1.0, (1e-3, 1e3)) * wave
    kernel += kernels.WhiteKernel(0.05, (1e-6, 2.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a bound that is met: the fit is scored, not trusted
        fit = GaussianProcessRegressor(kernel).fit(stamps[:, None], values)
    return fit.kernel_


def _drawn(mean: Tensor, covariance: Tensor, count: int, random: np.random.Generator) -> Tensor:
    """(count, place) draws of N(mean, covariance)."""
    variances, axes = torch.linalg.eigh(covariance)
    root = axes * variances.clamp_min(0.0).sqrt()
    noise = torch.from_numpy(random.standard_normal((count, len(mean))))
    return mean + noise @ root.T

"""The variational bound of a chain of infinitely many steps: an integral over the noise levels.

-log p(x_0) ≤ KL(q(x_1 | x_0) ‖ prior) + ∫ E rate(x_0, belief, x_t, t) dt - E log p(x_0 | x_start),
with the rate of the process: -½ d(α²/σ²)/dt ‖x_0 - x̂_0‖² for numbers, the divergence of two jump
processes for tokens. Kingma et al. 2021, "Variational diffusion models", eq. 11; in scores it is
the bound of Song et al. 2021, "Maximum likelihood training of score-based diffusion models".
"""

from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import kl
from hush.likelihoods.bound import Bound, decoded, like
from hush.likelihoods.decoders import Decoder, Density
from hush.processes import GaussianProcess, Process
from hush.rng import Streams
from hush.schedules import Level
from hush.tensors import Condition

BLIND = -20.0  # log-SNR below which nothing is left to tell

Times = Float64[Tensor, " batch"]


def continuous(
    denoiser: Denoiser,
    x_0: Any,
    rng: Streams,
    cond: Condition | None = None,
    decoder: Decoder = Density(),
    start: float = 1e-3,
    draws: int = 1,
) -> Bound:
    """The bound from the time `start` on, the integral estimated without bias from `draws` noised
    states per sample, spread evenly; `steps` (draws, batch) holds their shares; those of numbers
    begin at `levels`, from the noise down.

    Numbers are drawn evenly in log-SNR, where the integrand is ½ ‖ε - ε̂‖²: the importance sampling
    of likelihood training. Tokens are drawn evenly in time. What is left at `start` is decoded from
    the belief there, with the variance σ²/α² where it has none of its own.
    """
    process = denoiser.process
    first, end = process.schedule.level(start), _end(process)
    shares = []
    for draw in range(draws):
        own = rng.next(2 * draw)
        t, weight = _drawn(process, (own.uniform() + draw) / draws, first.time, end)
        level = process.schedule.level(t)
        x_t = process.marginal(x_0, level).sample(own.next())
        rate = process.rate(x_0, denoiser(x_t, level, cond), x_t, level)
        shares.append(weight.to(rate) * rate / draws)
    x_t = process.marginal(x_0, first).sample(rng.next(2 * draws))
    law = decoded(denoiser, x_t, first, cond, decoder)
    prior = kl(process.marginal(x_0, end), process.prior(*like(x_0)))
    return Bound(
        prior, torch.stack(shares), -decoder(law, x_0), _begun(process, first, end, draws, rng)
    )


def _end(process: Process) -> float:
    """The noisiest time that counts: 1, or where numbers are blind to every practical purpose."""
    if not isinstance(process, GaussianProcess):
        return 1.0
    blind = process.schedule.time(torch.tensor([BLIND], dtype=torch.float64))
    return blind.item()


def _begun(
    process: Process, first: Level, end: float, draws: int, rng: Streams
) -> tuple[Level, ...]:
    """Where the part of each draw begins."""
    if not isinstance(process, GaussianProcess):
        return ()
    u = torch.arange(draws, dtype=torch.float64, device=rng.index.device) / draws
    return tuple(process.schedule.levels(_drawn(process, u, first.time, end)[0]))


def _drawn(process: Process, u: Times, start: float, end: float) -> tuple[Times, Times]:
    """Times for uniform u in (0, 1), and dt/du."""
    if not isinstance(process, GaussianProcess):
        return start + u * (end - start), torch.full_like(u, end - start)
    schedule = process.schedule
    low, high = schedule.log_snr(end), schedule.log_snr(start)
    t = schedule.time(low + u * (high - low))
    level = schedule.level(t)
    alpha_rate, sigma_rate = schedule.rates(level)
    fall = 2.0 * (sigma_rate / level.sigma - alpha_rate / level.alpha)
    return t, (high - low) / fall

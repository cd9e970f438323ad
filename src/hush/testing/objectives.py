"""The suites of weights and of laws of time."""

import torch

from hush.errors import UserError
from hush.objectives.times import TimeLaw
from hush.objectives.weights import Weight
from hush.rng import Streams
from hush.schedules import Schedule
from hush.testing.claims import agree, require
from hush.testing.schedules import check_frozen


def check_weight(weight: Weight, schedule: Schedule) -> None:
    """A weight is finite and not negative wherever there is noise, one number per sample, and
    that of a sample does not depend on the batch around it."""
    name = f"{type(weight).__name__} on {type(schedule).__name__}"
    check_frozen(weight)
    times = torch.linspace(0.0005, 0.9995, 64, dtype=torch.float64)
    level = schedule.level(times)
    weights = weight(schedule, level)
    require(weights.shape == times.shape, f"{name} must give one weight per sample.")
    require(weights.isfinite().all(), f"{name} must be finite where there is noise.")
    require((weights >= 0).all() and weights.max() > 0, f"{name} must not be negative.")
    alone = torch.cat([weight(schedule, schedule.level(t)) for t in times.split(1)])
    agree(weights, alone, 1e-12, f"{name}, in a batch and alone")


def check_times(law: TimeLaw, schedule: Schedule, draws: int = 4000) -> None:
    """A law of time stays in (0, 1], its quantiles never fall, and what it draws follows them.

    The share of draws below each quantile is right within the bound of Dvoretzky, Kiefer and
    Wolfowitz that chance breaks once in 10⁴, also where the law has atoms (the steps of a chain).
    A law may refuse a schedule with a UserError.
    """
    name = f"{type(law).__name__} on {type(schedule).__name__}"
    check_frozen(law)
    shares = torch.linspace(1e-9, 1 - 1e-9, 999, dtype=torch.float64)
    try:
        quantiles = law.quantile(schedule, shares)
    except UserError:
        return
    inside = (quantiles > 0).all() and (quantiles <= 1).all()
    require(inside, f"The quantiles of {name} must lie in (0, 1].")
    require((quantiles.diff() >= 0).all(), f"The quantiles of {name} must not fall.")
    times = law(schedule, Streams.of(11, draws))
    require(times.shape == (draws,), f"{name} must draw one time per sample.")
    require((times > 0).all() and (times <= 1).all(), f"{name} must draw times in (0, 1].")
    slack = (5.0 / draws) ** 0.5  # √(ln(2/δ)/(2n)), δ = 10⁻⁴
    edge = 1e-12
    for share, quantile in zip(shares[::37].tolist(), quantiles[::37].tolist(), strict=True):
        below = (times < quantile - edge).double().mean().item()
        up_to = (times <= quantile + edge).double().mean().item()
        require(
            below <= share + slack and up_to >= share - slack,
            f"{name}: a share {share:.3f} should be drawn below t = {quantile:.5g}, got "
            f"{below:.3f} to {up_to:.3f} of {draws}.",
        )

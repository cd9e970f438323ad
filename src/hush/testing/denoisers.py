"""The suite of parameterisations: what a network's output means, said a second time."""

from collections.abc import Callable

import torch
from torch import Tensor

from hush.denoisers import parameterisations as named
from hush.denoisers.parameterisations import Parameterisation
from hush.rng import Streams
from hush.schedules import Level, Schedule
from hush.testing.claims import agree, require

Target = Callable[[Parameterisation, Schedule, Level, Tensor, Tensor], Tensor]


def _velocity(
    self: Parameterisation, schedule: Schedule, level: Level, x_0: Tensor, noise: Tensor
) -> Tensor:
    alpha_rate, sigma_rate = schedule.rates(level)
    return alpha_rate * x_0 + sigma_rate * noise


def _edm(self: named.EDM, schedule: Schedule, level: Level, x_0: Tensor, noise: Tensor) -> Tensor:
    """Karras et al. 2022, eq. 8 and table 1, in their own symbols."""
    ratio, data = level.sigma / level.alpha, self.sigma_data
    c_skip = data**2 / (ratio**2 + data**2)
    c_out = ratio * data / (ratio**2 + data**2) ** 0.5
    return (x_0 - c_skip * (x_0 + ratio * noise)) / c_out


# What a perfect network answers, from the pair (x_0, noise) that the conversions never see.
TARGETS: dict[type[Parameterisation], Target] = {
    named.Noise: lambda self, schedule, level, x_0, noise: noise,
    named.Data: lambda self, schedule, level, x_0, noise: x_0,
    named.V: lambda self, schedule, level, x_0, noise: level.alpha * noise - level.sigma * x_0,
    named.Velocity: _velocity,
    named.Score: lambda self, schedule, level, x_0, noise: -noise / level.sigma,
    named.EDM: _edm,
}


def target_of(parameterisation: Parameterisation) -> Target:
    """The known target of a class, of the class it derives from, of its `meaning` where it only
    feeds another's network differently, or its own method `target(schedule, level, x_0, noise)`."""
    if isinstance(meaning := getattr(parameterisation, "meaning", None), Parameterisation):
        return lambda self, *rest: target_of(meaning)(meaning, *rest)
    if hasattr(parameterisation, "target"):
        return lambda self, *rest: self.target(*rest)
    for cls in type(parameterisation).__mro__:
        if cls in TARGETS:
            return TARGETS[cls]
    raise AssertionError(
        f"Nobody has said what a network should answer under {type(parameterisation).__name__}: "
        "give it a method target(schedule, level, x_0, noise), or an entry in "
        "hush.testing.denoisers.TARGETS."
    )


def check_parameterisation(parameterisation: Parameterisation, schedule: Schedule) -> None:
    """The exact target in, the exact x_0 out, at every level that has some signal and some noise.

    With x_t = α x_0 + σ ε and the target made from (x_0, ε), skip·x_t + out·target is x_0, to 1e-12
    of the size of its parts; the coefficients are finite and `out` is not 0; the clock never runs
    backwards; floats and tensors agree.
    """
    name, target = type(parameterisation).__name__, target_of(parameterisation)
    rng = Streams.of(5, 6)
    x_0, noise = rng.normal((4,), torch.float64), rng.next().normal((4,), torch.float64)
    times = torch.tensor(
        [1e-4, 1e-3, 0.0105, 0.1005, 0.5005, 0.9005, 0.9985, 1.0], dtype=torch.float64
    )
    clocks = []
    for level in schedule.levels(times):
        if level.alpha == 0.0:
            continue
        skip, out, c_in, clock = parameterisation(schedule, level)
        where = f"{name} on {type(schedule).__name__} at t = {level.time:g}"
        numbers = torch.tensor((skip, out, c_in, clock), dtype=torch.float64)
        require(numbers.isfinite().all(), f"{where}: the coefficients must be finite.")
        require(out != 0.0 and c_in > 0.0, f"{where}: out must not be 0, and c_in be positive.")
        x_t = level.alpha * x_0 + level.sigma * noise
        answer = target(parameterisation, schedule, level, x_0, noise)
        size = max(1.0, (skip * x_t).abs().max().item(), (out * answer).abs().max().item())
        agree(skip * x_t + out * answer, x_0, 1e-12 * size, f"x_0 from the exact target of {where}")
        clocks.append(clock)
        time = torch.tensor([level.time], dtype=torch.float64)
        many = parameterisation(schedule, schedule.level(time))
        for one, other in zip((skip, out, c_in, clock), many, strict=True):
            agree(one, other, 1e-12, f"{where}, as a float and as a tensor")
    rises = torch.tensor(clocks, dtype=torch.float64).diff()
    require((rises > 0).all() or (rises == 0).all(), f"The clock of {name} must rise with time.")

"""The suite of guidance."""

from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.guidance import Guidance
from hush.processes import GaussianProcess, Moment
from hush.rng import Streams
from hush.schedules import EDM, Rectified, Schedule, VariancePreserving
from hush.tensors import Condition
from hush.testing.claims import agree, require
from hush.testing.mixtures import GaussianMixture, MixtureDenoiser
from hush.testing.schedules import check_frozen

GUIDED = GaussianMixture.of(
    [0.3, 0.5, 0.2],
    [[[[-1.5, 0.5], [0.0, 1.0]]], [[[1.0, 1.0], [0.5, -0.5]]], [[[0.5, -1.5], [-1.0, 0.0]]]],
    [0.3, 0.2, 0.4],
)
_TRIALS = (  # of variance one, α = 1, no signal at t = 1; beliefs with a variance and without
    (VariancePreserving(), True),
    (EDM(), False),
    (Rectified(), True),
)
_TIMES = (0.03, 0.3, 0.7, 1.0)


class _Weighted(Denoiser):
    """The exact denoiser with a weight to be trained, where a gradient could be left."""

    def __init__(self, schedule: Schedule, spread: bool) -> None:
        super().__init__()
        self.process = GaussianProcess(schedule)
        self.exact = MixtureDenoiser(self.process, GUIDED, spread)
        self.weight = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x_t: Tensor, t: Moment, cond: Condition | None = None) -> Gaussian:
        belief = self.exact(x_t, t, cond)
        return replace(belief, mean=self.weight.to(x_t) * belief.mean)


def check_guidance(guidance: Guidance) -> None:
    """A guidance is a frozen value that makes a denoiser of a denoiser.

    It is tried on the three-component mixture `GUIDED` of events (1, 2, 2), with labels 0 to 2 as
    conditions and with none, by beliefs with a variance and without, on three schedules. Tensors of
    its own must be for one sample, (1, …).

    - the process is passed through;
    - a belief leaves no trace: not in the guidance, its input or the weights; asked twice it is the
      same, bit for bit, and nothing of it hangs on the way it was found;
    - it is finite, in the type of x_t, at every level, and is the same whether or not gradients are
      recorded;
    - each sample's belief is its own: a batch in two parts gives the same, to 1e-12, as does a
      batch of other neighbours, and one where each sample has its own time;
    - at the scale it calls `neutral` the beliefs are the denoiser's, bit for bit.
    """
    check_frozen(guidance)
    before = {name: _copy(value) for name, value in _values(guidance).items()}
    for schedule, spread in _TRIALS:
        denoiser = _Weighted(schedule, spread)
        name = f"{type(guidance).__name__} on {type(schedule).__name__}"
        guided = guidance(denoiser)
        require(isinstance(guided, Denoiser), f"{name} must make a denoiser.")
        require(guided.process is denoiser.process, f"{name} must pass the process through.")
        for time in _TIMES:
            x, cond = _states(denoiser, time)
            for given in (cond, None):
                _check_belief(guided, denoiser, x, time, given, f"{name} at t = {time:g}")
            _check_neutral(guidance, denoiser, x, time, cond, name)
        _check_times(guided, denoiser, name)
    for field, value in _values(guidance).items():
        same = _same(before[field], value)
        require(same, f"{type(guidance).__name__} must not change its {field} as it is used.")


def _values(guidance: Guidance) -> dict[str, Any]:
    return {field.name: getattr(guidance, field.name) for field in fields(guidance)}


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _same(before: Any, now: Any) -> bool:
    if isinstance(now, Tensor):
        return torch.equal(before.nan_to_num(), now.nan_to_num())
    return before is now


def _states(denoiser: Denoiser, time: float) -> tuple[Tensor, Tensor]:
    rng = Streams.of(21, len(_TIMES))
    x = denoiser.process.marginal(GUIDED.sample(rng), time).sample(rng.next(2))
    return x, torch.arange(len(_TIMES)) % 3


@torch.no_grad()
def _ask(
    denoiser: Denoiser, x: Tensor, t: Moment, cond: Condition | None = None
) -> tuple[Tensor, Tensor]:
    """The mean and the variance of a belief, the latter one number per element."""
    belief = denoiser(x, t, cond)
    require(belief.mean.shape == x.shape, "A guided belief must keep the shape of x_t.")
    return belief.mean, belief.spread.expand_as(belief.mean)


def _check_belief(
    guided: Denoiser, denoiser: Denoiser, x: Tensor, time: float, cond: Condition | None, name: str
) -> None:
    given = x.clone()
    once, again = _ask(guided, x, time, cond), _ask(guided, x, time, cond)
    twice = all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    require(twice, f"{name} must answer the same, bit for bit, when asked twice.")
    require(torch.equal(x, given), f"{name} must not change its input.")
    require(denoiser.weight.grad is None, f"{name} must leave no gradient in the weights.")
    require(all(part.isfinite().all() for part in once), f"{name} must answer with numbers.")
    held = any(part.requires_grad for part in once)
    require(not held, f"{name} must not hold on to gradients where none are recorded.")
    recorded = guided(x, time, cond)
    agree(recorded.mean.detach(), once[0], 1e-12, f"{name}, the mean while gradients are recorded")
    single = _ask(guided, x.float(), time, cond)[0]
    require(single.dtype == torch.float32, f"{name} must answer in the type of x_t.")
    parts = [
        _ask(guided, x[part], time, None if cond is None else cond[part])
        for part in (slice(0, 2), slice(2, None))
    ]
    for what, place in (("mean", 0), ("variance", 1)):
        joined = torch.cat([part[place] for part in parts])
        agree(joined, once[place], 1e-12, f"{name}, the {what} of a batch in two parts")
    others = torch.cat((x[:1], x[1:].flip(0) + 1.0))
    agree(
        _ask(guided, others, time, cond)[0][0], once[0][0], 1e-12, f"{name}, beside other samples"
    )


def _check_neutral(
    guidance: Guidance, denoiser: Denoiser, x: Tensor, time: float, cond: Tensor, name: str
) -> None:
    if guidance.neutral is None:
        return
    bare = _ask(denoiser, x, time, cond)
    none = _ask(replace(guidance, scale=guidance.neutral)(denoiser), x, time, cond)
    same = all(torch.equal(a, b) for a, b in zip(bare, none, strict=True))
    sentence = f"{name}: at scale {guidance.neutral:g} the beliefs must be the denoiser's own."
    require(same, sentence)


def _check_times(guided: Denoiser, denoiser: Denoiser, name: str) -> None:
    times = torch.tensor(_TIMES, dtype=torch.float64)
    x, cond = _states(denoiser, 0.5)
    for moment in (times, denoiser.process.schedule.level(times)):
        mixed = _ask(guided, x, moment, cond)
        for place, time in enumerate(_TIMES):
            alone = _ask(guided, x[place : place + 1], time, cond[place : place + 1])
            for one, many in zip(alone, mixed, strict=True):
                agree(many[place], one[0], 1e-12, f"{name}, where each sample has its own time")

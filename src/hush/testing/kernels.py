"""The suites of kernels and of the processes of tokens, by brute force over all states."""

from itertools import pairwise

import torch
from torch import Tensor

from hush.distributions import Categorical, kl
from hush.errors import UserError
from hush.processes import CategoricalProcess
from hush.processes.kernels import DiscretisedGaussian, Kernel
from hush.rng import Streams
from hush.schedules import Level, Schedule, Tabulated
from hush.testing.claims import agree, require

_SHARES = (0.0, 0.01, 0.3, 0.31, 0.6, 0.95, 1.0)


def check_kernel(kernel: Kernel, schedule: Schedule) -> None:
    """A kernel's matrices are laws that belong together, to 1e-12, at steps of a chain or at any
    times.

    - rows of Q_{t|s} sum to one, none is negative; Q_{s|s} is the identity;
    - semigroup: Q_{s|r} Q_{t|s} = Q_{t|r} for every r < s < t, and all steps of a chain in turn;
    - `onward`, `forth` and `back` are what the matrix says; levels per sample and shared agree;
    - a mask stays a mask, and no token but the mask is past `tokens`;
    - all data come nearer to `stationary` all the time: no farther than what is left of them,
      κ_t K, where the kernel goes by κ_t. Without a mask Q keeps that law;
    - `generator` is dQ/dt at t = s, to 1e-5, and its rows sum to zero. Only the kernel of a chain
      may refuse it, in words.
    """
    levels = _levels(schedule)
    for place, (s, t) in enumerate(_pairs(levels)):
        matrix = kernel.matrix(schedule, s, t)
        where = f"from {s.time:g} to {t.time:g}"
        agree(matrix.sum(-1), 1.0, 1e-12, f"the rows' sums {where}")
        require(bool((matrix >= 0.0).all()), f"A probability {where} is negative.")
        _check_forms(kernel, schedule, s, t, matrix, Streams.of(place, 3))
        _check_mask(kernel, matrix)
    _check_semigroup(kernel, schedule, levels)
    _check_stationary(kernel, schedule, levels)
    for level in levels[1:-1]:
        _check_generator(kernel, schedule, level)


def _levels(schedule: Schedule) -> list[Level]:
    """Moments from the data to the noise: steps, where the schedule is a chain."""
    times = torch.tensor(_SHARES, dtype=torch.float64)
    if isinstance(schedule, Tabulated):
        times = (times * schedule.steps).ceil().unique() / schedule.steps
    return schedule.levels(times)


def _pairs(levels: list[Level]) -> list[tuple[Level, Level]]:
    """Every s < t that data and noise may be at; none starts where nothing is left of the data."""
    return [(s, t) for i, s in enumerate(levels) for t in levels[i + 1 :]]


def _check_semigroup(kernel: Kernel, schedule: Schedule, levels: list[Level]) -> None:
    eye = torch.eye(kernel.states, dtype=torch.float64)
    agree(kernel.matrix(schedule, levels[2], levels[2]), eye, 1e-12, "going nowhere")
    for place, r in enumerate(levels):
        for s, t in _pairs(levels[place:]):
            both = kernel.matrix(schedule, r, s) @ kernel.matrix(schedule, s, t)
            where = f"from {r.time:g} to {s.time:g} and on to {t.time:g}"
            agree(both, kernel.matrix(schedule, r, t), 1e-12, f"going {where}")
    if not isinstance(schedule, Tabulated):
        return
    steps = schedule.levels(torch.arange(schedule.steps + 1).double() / schedule.steps)
    product = eye
    for s, t in pairwise(steps):
        product = product @ kernel.matrix(schedule, s, t)
        whole = kernel.matrix(schedule, steps[0], t)
        agree(whole, product, 1e-12, f"all steps to {t.time:g}")


def _check_forms(
    kernel: Kernel, schedule: Schedule, s: Level, t: Level, matrix: Tensor, rng: Streams
) -> None:
    where = f"from {s.time:g} to {t.time:g}"
    p = rng.uniform((2, kernel.states))
    p = p / p.sum(-1, keepdim=True)
    x = (rng.next().uniform((2, 4)) * kernel.states).long()
    each = [schedule.level(torch.full((3,), level.time, dtype=torch.float64)) for level in (s, t)]
    agree(kernel.matrix(schedule, *each), matrix, 1e-12, f"levels per sample {where}")
    for one, other in ((s, t), each):
        agree(kernel.onward(p, schedule, one, other), p @ matrix, 1e-12, f"onward {where}")
        agree(kernel.forth(x, schedule, one, other), matrix[x], 1e-12, f"forth {where}")
        agree(kernel.back(x, schedule, one, other), matrix.T[x], 1e-12, f"back {where}")


def _check_mask(kernel: Kernel, matrix: Tensor) -> None:
    masks = kernel.states - kernel.tokens
    require(masks in (0, 1), f"Of {kernel.states} states {kernel.tokens} are tokens: one may mask.")
    if masks:
        agree(matrix[-1, : kernel.tokens], 0.0, 0.0, "what comes back from the mask")


def _check_stationary(kernel: Kernel, schedule: Schedule, levels: list[Level]) -> None:
    law, farthest = kernel.stationary(), 2.0
    agree(law.sum(), 1.0, 1e-12, "the stationary law's sum")
    for level in levels[1:]:
        matrix = kernel.matrix(schedule, levels[0], level)
        if kernel.tokens == kernel.states:
            agree(law @ matrix, law, 1e-12, f"the stationary law at {level.time:g}")
        apart = (matrix - law)[: kernel.tokens].abs().sum(-1).max().item()
        require(
            apart <= farthest + 1e-12,
            f"At {level.time:g} a state is {apart:g} from the stationary law, more than before.",
        )
        farthest = apart
        if not isinstance(kernel, DiscretisedGaussian):
            bound = level.alpha**2 * kernel.states
            require(
                apart <= bound + 1e-12,
                f"At {level.time:g} a state is {apart:g} from the stationary law, with but "
                f"{level.alpha**2:g} of the data left.",
            )


def _check_generator(kernel: Kernel, schedule: Schedule, t: Level) -> None:
    """(Q_{t|t-h} - I)/h as h → 0, with the error of first order removed; a chain's rates are those
    of the step that ends at t."""
    if isinstance(kernel, DiscretisedGaussian):
        try:
            kernel.generator(schedule, t)
        except UserError:
            return
        require(False, "A chain without rates must refuse its generator.")
    rates = kernel.generator(schedule, t)
    agree(rates.sum(-1), 0.0, 1e-10, f"the sums of the rates at {t.time:g}")
    eye = torch.eye(kernel.states, dtype=torch.float64)

    def slope(h: float) -> Tensor:
        s = schedule.level(t.time - h)
        return (kernel.matrix(schedule, s, t) - eye) / h

    fastest = rates.abs().max().item()
    h = min(1e-4 / fastest, 1e-4 * t.time)
    got = (2.0 * slope(0.5 * h) - slope(h)) / fastest
    agree(got, rates / fastest, 1e-5, f"the rates at {t.time:g}, as shares of the fastest")
    times = torch.full((2,), t.time, dtype=torch.float64)
    agree(kernel.generator(schedule, schedule.level(times)), rates, 1e-12, "rates per sample")


def check_token_process(process: CategoricalProcess) -> None:
    """The laws of a process of tokens belong together, to 1e-10, over all K states of each.

    - Σ_{x_s} q(x_s | x_0) q(x_t | x_s) = q(x_t | x_0), and the marginal at t = 1 is near the prior;
    - Bayes: of a certain belief `reverse` is q(x_t | x_s) q(x_s | x_0)/q(x_t | x_0);
    - it is linear in the belief, whatever the belief gives to x_0 that cannot have led to x_t;
    - Σ_{x_t} q(x_t | x_0) reverse(x_0, x_t) = q(x_s | x_0);
    - `seen` is q(x_t | x_0), as a belief;
    - `rate` is the limit of KL(q(x_s | x_t, x_0) ‖ reverse(belief))/(t - s), where there is one;
    - walks with less noise are refused.
    """
    levels = _levels(process.schedule)
    for s, t in _pairs(levels):
        if s.time > 0.0:
            _check_bayes(process, s, t)
    for t in levels[1:-1]:
        _check_rate(process, t)
    one = torch.zeros(1, 1, dtype=torch.int64)
    try:
        process.reverse(process.certain(one), one, levels[0], levels[1], 0.0)
    except UserError:
        return
    require(False, "A walk with eta 0 over tokens was not refused.")


def _every_pair(process: CategoricalProcess) -> tuple[Tensor, Tensor]:
    """x_0 in rows and x_t in columns: all that are."""
    kernel = process.kernel
    shape = (kernel.tokens, kernel.states)
    x_0, x_t = torch.arange(kernel.tokens), torch.arange(kernel.states)
    return x_0[:, None].expand(shape), x_t.expand(shape)


def _check_bayes(process: CategoricalProcess, s: Level, t: Level) -> None:
    where = f"from {t.time:g} to {s.time:g}"
    x_0, x_t = _every_pair(process)
    early, late = process.marginal(x_0, s).probs[:, 0], process.marginal(x_0, t).probs[:, 0]
    step = process.transition(torch.arange(process.kernel.states)[:, None], s, t).probs[:, 0]
    agree(early @ step, late, 1e-12, f"going on {where}")
    back = process.reverse(process.certain(x_0), x_t, s, t).probs
    reached = late > 0.0
    joint = early[:, None, :] * step.T[None]  # (x_0, x_t, x_s)
    truth = joint / torch.where(reached, late, 1.0)[..., None]
    agree(back[reached], truth[reached], 1e-10, f"Bayes' rule {where}")
    agree((late[..., None] * back).sum(1), early, 1e-10, f"the marginal pushed back {where}")
    _check_beliefs(process, truth, late, s, t)


def _check_beliefs(
    process: CategoricalProcess, truth: Tensor, late: Tensor, s: Level, t: Level
) -> None:
    """At every x_t that is ever reached: what it says, and the way back of a belief that gives some
    mass to all data."""
    kernel = process.kernel
    x_t = (late.sum(0) > 0.0).nonzero()
    late, truth = late[:, x_t[:, 0]], truth[:, x_t[:, 0]]
    seen = process.seen(x_t, t).probs[:, 0, : kernel.tokens]
    agree(seen, (late / late.sum(0)).T, 1e-12, f"what is seen at {t.time:g}")
    believed = Streams.of(5, 1).uniform((kernel.tokens,))
    weight = torch.where(late > 0.0, believed.T, 0.0)
    mean = (weight[..., None] * truth).sum(0) / weight.sum(0)[:, None]
    logits = torch.full((len(x_t), 1, kernel.states), -torch.inf, dtype=torch.float64)
    logits[..., : kernel.tokens] = believed.log()
    back = process.reverse(Categorical(logits), x_t, s, t).probs[:, 0]
    agree(back, mean, 1e-10, f"the way back of a belief from {t.time:g} to {s.time:g}")


def _check_rate(process: CategoricalProcess, t: Level) -> None:
    x_0, x_t = _every_pair(process)
    marginal = process.marginal(x_0, t).probs[:, 0]
    x_0, x_t = (x[marginal > 1e-6][:, None] for x in (x_0, x_t))
    belief = Categorical(
        process.seen(x_t, t).logits
        + Streams.of(6, len(x_0)).normal((1, process.kernel.states), torch.float64)
    )
    try:
        rate = process.rate(x_0, belief, x_t, t)
    except UserError:
        require(isinstance(process.kernel, DiscretisedGaussian), "Only a chain may have no rates.")
        return

    def cost(h: float) -> Tensor:
        s = process.schedule.level(t.time - h)
        truth = process.reverse(process.certain(x_0), x_t, s, t)
        return kl(truth, process.reverse(belief, x_t, s, t)) / h

    h = 1e-4 * t.time
    limit = (cost(h) - 6.0 * cost(0.5 * h) + 8.0 * cost(0.25 * h)) / 3.0
    agree(rate, limit, 1e-4, f"the rate at {t.time:g}")

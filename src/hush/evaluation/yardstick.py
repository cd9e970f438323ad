"""What a held-out loss is to be read against: two denoisers that have measured the data, and know
no network.

constant   the average of the data, whatever x_t is
gaussian   the exact belief about a Gaussian with the data's mean and covariance, the best of all
           that are linear in x_t; of tokens, Bayes' rule on each place by itself
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from hush.data import Source
from hush.denoisers import Denoiser
from hush.distributions import Categorical, Gaussian
from hush.evaluation.held_out import Losses, device_of, held_out_each
from hush.evaluation.principal import Moments
from hush.noise import White
from hush.processes import CategoricalProcess, GaussianProcess, Moment
from hush.processes.kernels import Kernel
from hush.rng import Streams
from hush.system import System
from hush.tensors import Condition

RECORDS = 1024  # that are measured, at most
ELEMENTS = 2**25  # of all of them together, at most: 256 MiB
PSEUDO = 0.5  # counts given to every token before any is seen (Jeffreys' prior)

CLEAR = 5.0  # standard errors between two yardsticks that a model can be placed between
SURE = 3.0  # standard errors by which one is better than another
MATTERS = 0.05  # of the Gaussian's mean loss over all levels: less changes nothing for training
FEWEST = 4  # records at a level, below which an error is not known

State = Float[Tensor, " batch *event"]
Tokens = Int64[Tensor, " batch *event"]


class Average(Denoiser):
    """N(mean, variance) whatever x_t is, element by element: what is known of x_0 before x_t."""

    def __init__(self, process: GaussianProcess, mean: Tensor, variance: Tensor) -> None:
        super().__init__()
        self.process = process
        self.register_buffer("mean", mean)
        self.register_buffer("variance", variance)

    def forward(self, x_t: State, t: Moment, cond: Condition | None = None) -> Gaussian:
        mean = self.mean.to(x_t) + 0.0 * _bent(x_t)
        return Gaussian(mean, self.variance.to(x_t).expand_as(mean))


class FittedGaussian(Denoiser):
    """The belief about x_0 ~ N(m, C), C = U diag(λ) Uᵀ + s (I - U Uᵀ), element by element:

    E = m + α C (α² C + σ² I)⁻¹ (x_t - α m), Var = the diagonal of σ² C (α² C + σ² I)⁻¹,

    both in the basis of U, so that no matrix of all elements against all is made.
    """

    def __init__(self, process: GaussianProcess, moments: Moments) -> None:
        super().__init__()
        self.process = process
        self.register_buffer("mean", moments.mean)
        self.register_buffer("axes", moments.axes)
        self.register_buffer("values", torch.cat((moments.values, moments.rest.reshape(1))))

    def forward(self, x_t: State, t: Moment, cond: Condition | None = None) -> Gaussian:
        level = self.process.schedule.level(t)
        alpha, sigma = (
            torch.as_tensor(scale, dtype=torch.float64, device=x_t.device).reshape(-1, 1)
            for scale in (level.alpha, level.sigma)
        )
        shrunk = self.values / (alpha**2 * self.values + sigma**2)
        mean, axes = self.mean.to(x_t), self.axes.to(x_t)
        gaps = _bent(x_t).flatten(1) - alpha.to(x_t) * mean.flatten()
        gain, even = _parted((alpha * shrunk).to(x_t))
        belief = even * gaps + (gain * (gaps @ axes.T)) @ axes
        spread, rest = _parted((sigma**2 * shrunk).to(x_t))
        variance = (rest + spread @ axes**2).expand_as(belief)
        return Gaussian(mean + belief.reshape(x_t.shape), variance.reshape(x_t.shape))


def _parted(shares: Float[Tensor, "batch axis"]) -> tuple[Tensor, Tensor]:
    """What each axis has beyond the last entry, the share of all directions, and that entry."""
    even = shares[:, -1:]
    return shares[:, :-1] - even, even


def _bent(x_t: State) -> State:
    """x_t, as a curve to autograd, which knows no second derivative of a line: score matching of
    high order takes two of the belief."""
    return x_t + 0.0 * x_t**3 if x_t.requires_grad else x_t


class Frequencies(Denoiser):
    """p(x_0) of each place by itself; with `evidence` ∝ p(x_0) q(x_t | x_0), Bayes' rule."""

    def __init__(self, process: CategoricalProcess, log_probs: Tensor, evidence: bool) -> None:
        super().__init__()
        self.process, self.evidence = process, evidence
        self.register_buffer("log_probs", log_probs)

    def forward(self, x_t: Tokens, t: Moment, cond: Condition | None = None) -> Categorical:
        logits = self.log_probs.expand(*x_t.shape, -1)
        if self.evidence:
            logits = logits + self.process.seen(x_t, t).logits.to(logits)
        return Categorical(logits)


@dataclass(frozen=True)
class Yardsticks:
    """The held-out losses of both, and what they are in words."""

    constant: Losses
    gaussian: Losses
    average: str
    simple: str


def unlearned(system: System, train: Source) -> tuple[Denoiser, Denoiser] | None:
    """The two denoisers (constant, gaussian) of a system, measured on at most 1024 records of
    `train` spread evenly over it.

    None where there are none: for processes other than those of tokens and of numbers with white
    noise, and for data that are all the same.
    """
    process = system.denoiser.process
    if isinstance(process, CategoricalProcess):
        log_probs = _frequencies(_measured(system, train), process.kernel)
        pair = (Frequencies(process, log_probs, evidence) for evidence in (False, True))
    elif isinstance(process, GaussianProcess) and isinstance(process.noise, White):
        moments = Moments.of(_measured(system, train))
        if not moments.rest > 0.0:
            return None
        average = Average(process, moments.mean, moments.variance)
        pair = (average, FittedGaussian(process, moments))
    else:
        return None
    constant, gaussian = (denoiser.to(device_of(system)).eval() for denoiser in pair)
    return constant, gaussian


def yardsticks(system: System, train: Source, held_out: Source, seed: int = 0) -> Yardsticks | None:
    """The losses of both on the held-out records, at the times and with the noise of
    `held_out_losses` with that seed; None where they have no meaning (see `unlearned`).

    They depend on the data, the schedule and the objective, not on the network.
    """
    pair = unlearned(system, train)
    if pair is None:
        return None
    both = (held_out_each(replace(system, denoiser=one), held_out, seed) for one in pair)
    if isinstance(system.denoiser.process, CategoricalProcess):
        words = "how frequent each level is", "Bayes' rule on each place by itself"
    else:
        words = "the average of the data", "a Gaussian with the data's mean and covariance"
    return Yardsticks(*both, *words)


def verdict(losses: Losses, than: Yardsticks) -> str | None:
    """What a person should know of a model with these losses, in a sentence or two; None where
    there is nothing to tell.

    All have seen the same records with the same noise, and are compared record by record. At a
    level where the yardsticks are alike, as they are where there is hardly noise or nothing else, a
    model is not told to be as good as one, only to be worse, and where that counts in training.
    """
    gaussian = than.gaussian
    levels = [k for k in range(len(losses.times)) if len(losses.at(k)) >= FEWEST]
    matters = MATTERS * abs(gaussian.each.mean().item())
    if blind := [k for k in levels if _blind(losses, than, k, matters)]:
        return (
            f"{_where(losses, blind)} the model is no better than answering {than.average}: "
            "nothing is learnt there yet. If that stays so, lower the learning rate, look at the "
            "data, or train for more steps."
        )
    if worse := [k for k in levels if _better(gaussian, losses, k, SURE, matters)]:
        return (
            f"{_where(losses, worse)} the model is worse than {than.simple}, which needs no "
            "network. If more steps do not change that, try another learning rate or a larger "
            "network."
        )
    if levels and not any(_better(losses, gaussian, k) for k in levels):
        return (
            f"At no noise level is the model measurably better than {than.simple}: it has learnt "
            "no shapes yet, or the data have none."
        )
    return None


def _blind(losses: Losses, than: Yardsticks, level: int, matters: float) -> bool:
    """Whether the average is better at a level, or as good where the Gaussian shows that more can
    be known."""
    if _better(than.constant, losses, level, SURE, matters):
        return True
    clear = _better(than.gaussian, than.constant, level, CLEAR, matters)
    return clear and not _better(losses, than.constant, level)


def _better(
    one: Losses, other: Losses, level: int, errors: float = SURE, least: float = 0.0
) -> bool:
    """Whether one loss is lower at a level, by so many standard errors of the difference and by
    more than `least`."""
    gain = other.at(level) - one.at(level)
    error = (gain.var() / len(gain)).sqrt().item()
    return not gain.mean().item() <= max(errors * error, least)  # than NaN all is better


def _where(losses: Losses, levels: Sequence[int]) -> str:
    times = ", ".join(f"{losses.times[level]:g}" for level in levels)
    return f"At {len(levels)} of {len(losses.times)} noise levels (t = {times})"


def _measured(system: System, train: Source) -> Tensor:
    """x_0 of some records, on the CPU."""
    elements = torch.Size(train.shape).numel()
    count = min(len(train), RECORDS, max(2, ELEMENTS // elements))
    record = train.read([place * len(train) // count for place in range(count)])
    device = device_of(system)
    rng = Streams.of(0, count, device=device)
    record = {key: value.to(device) for key, value in record.items()}
    return system.learnt(record, rng)[0].cpu()


def _frequencies(x_0: Tokens, kernel: Kernel) -> Float64[Tensor, "*event state"]:
    """log p of every token at each place, a mask never."""
    places = x_0.flatten(1).T
    counts = torch.full((len(places), kernel.states), PSEUDO, dtype=torch.float64)
    counts[:, kernel.tokens :] = 0.0
    counts.scatter_add_(1, places, torch.ones_like(places, dtype=torch.float64))
    shares = counts / counts.sum(1, keepdim=True)
    return shares.log().reshape(*x_0.shape[1:], kernel.states)

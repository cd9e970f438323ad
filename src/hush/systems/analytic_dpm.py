"""Analytic-DPM: a trained run told again, with the best variances for its reverse steps."""

from dataclasses import replace
from typing import Any, Literal

from hush.data import Source
from hush.denoisers import GaussianDenoiser
from hush.denoisers.variances import Analytic
from hush.errors import UserError
from hush.likelihoods import analytic
from hush.rng import Streams, derive
from hush.samplers import Ancestral
from hush.samplers.grids import Chain
from hush.schedules import Tabulated
from hush.system import Recipe, System, cited, rebuilt
from hush.systems.index import find


@cited(
    "Bao, Li, Zhu, Zhang 2022, Analytic-DPM: an analytic estimate of the optimal reverse variance "
    "in diffusion probabilistic models, arXiv:2201.06503"
)
def analytic_dpm(
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    base: str = "ddpm",
    settings: dict[str, Any] | None = None,
    times: tuple[float, ...] = (),
    shares: tuple[float, ...] = (),
    steps: int = 50,
    eta: float = 1.0,
    recipe: Recipe = Recipe(),
) -> System:
    """Analytic-DPM: a network that was trained for its mean alone, with the variance of x_0
    measured at every noise level, walked in few steps. `hush retell` makes one of a run.

    σ*² = f + (α_s - k α_t)² E Var[x_0 | x_t], Var = E(x_0 - x̂_0)², or σ²/α² (1 - E ε̂²).

    Args:
        shape: of one event, (channel, height, width).
        classes: names of the classes, if the data have them.
        base: the system that was trained.
        settings: what it was made with.
        times: where its variances were measured, increasing from 0 to 1.
        shares: the variances there, as shares of those of unit-variance data.
        steps: of the walk.
        eta: share of DDPM's fresh noise; 0 is DDIM's walk, with the belief's variance alone.
        recipe: not used: there is nothing to train.
    """
    if settings is None or not times:
        raise UserError(
            "analytic_dpm is not trained but told again: train ddpm, say, and then run `hush "
            "retell RUN --data DATA --out NEW`."
        )
    made = rebuilt(find(base), settings)
    if not isinstance(made.denoiser, GaussianDenoiser) or made.denoiser.variance.heads:
        raise UserError(
            f"{base} cannot be told again by analytic_dpm: it wants a network that predicts a mean "
            "of numbers, and no variance."
        )
    made.denoiser.variance = Analytic(times, shares)
    return replace(made, sampler=Ancestral(eta, settle=True), grid=Chain(steps))


def retold(
    system: System,
    source: Source,
    by: Literal["error", "score"] = "error",
    levels: int = 100,
    count: int = 1024,
    steps: int = 50,
    eta: float = 1.0,
    seed: int = 0,
) -> System:
    """A trained system as `analytic_dpm`, its variances measured at `levels` steps of its chain on
    `count` records at most (see `likelihoods.analytic`).

    Raises:
        UserError: the system has no chain.
    """
    schedule = system.denoiser.process.schedule
    if not isinstance(schedule, Tabulated):
        raise UserError(
            f"{system.name} has no chain of steps: analytic_dpm is for those that have."
        )
    device = next(system.denoiser.parameters()).device
    spread = range(0, len(source), -(-len(source) // count))
    record = {key: value.to(device) for key, value in source.read(spread).items()}
    rng = Streams.of(derive(seed, "retold"), len(spread), device=device)
    x_0, cond, _ = system.learnt(record, rng.branch("task"))
    grid = Chain(min(levels, schedule.steps))(schedule)
    denoiser = system.denoiser.eval()
    walked = system.threshold(denoiser) if system.threshold else denoiser  # as it is sampled from
    found = analytic(walked, x_0, grid, rng, cond, by)
    made = analytic_dpm(
        tuple(system.task.shape),
        tuple(system.task.classes),
        system.name,
        system.arguments,
        found.times,
        found.shares,
        min(steps, schedule.steps),
        eta,
    )
    made.denoiser.load_state_dict(denoiser.state_dict())
    made.codec.load_state_dict(system.codec.state_dict())
    return replace(made, denoiser=made.denoiser.to(device).eval())

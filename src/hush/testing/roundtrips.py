"""What a parameterisation does to x_0: in float32, and to the error of a network."""

import math
from dataclasses import dataclass, replace

import torch

from hush.denoisers.parameterisations import Parameterisation
from hush.rng import Streams
from hush.schedules import Level, Schedule
from hush.testing.denoisers import target_of
from hush.testing.verdicts import Finding, number


@dataclass(frozen=True)
class RoundTrip:
    """What a parameterisation does to x_0 in float32: its error, and what a network error of 1 %
    becomes, over data of size 1 and each at the worst time: of the second, at `level`."""

    error: float
    amplified: float
    level: Level


def round_trip(parameterisation: Parameterisation, schedule: Schedule) -> RoundTrip:
    """The exact answer of a network, rounded to float32, and back to x_0 in float32."""
    rng, target = Streams.of(5, 256), target_of(parameterisation)
    x_0, noise = rng.normal((4,), torch.float64), rng.next().normal((4,), torch.float64)
    times = torch.tensor([1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0], dtype=torch.float64)
    trips = []
    for level in schedule.levels(times):
        skip, out, *_ = parameterisation(schedule, level)
        x = level.alpha * x_0 + level.sigma * noise
        answer = target(parameterisation, schedule, level, x_0, noise)
        back = skip * x.float() + out * answer.float()
        error = (back.double() - x_0).abs().max().item()
        amplified = 0.01 * abs(out) * answer.square().mean().sqrt().item()
        trips.append(RoundTrip(error if math.isfinite(error) else math.inf, amplified, level))
    error = max(trip.error for trip in trips)
    return replace(max(trips, key=lambda trip: trip.amplified), error=error)


def certify_parameterisation(
    parameterisation: Parameterisation, schedule: Schedule
) -> tuple[RoundTrip | None, tuple[Finding, ...]]:
    """What a network's words do to x_0: the error of float32 alone, and a network error of 1 %."""
    name = type(parameterisation).__name__
    try:
        trip = round_trip(parameterisation, schedule)
    except ZeroDivisionError:
        said = f"{name} divides by α = 0 at t = 1: predict v, the velocity or x_0 there."
        return None, (Finding("parameterisation", said),)
    level = trip.level
    place = f"at t = {level.time:g} (α = {level.alpha:.2g}, σ = {level.sigma:.2g})"
    if not trip.error <= 0.01:
        said = (
            f"{name} prediction loses {number(trip.error)} of x_0 in float32 alone, {place}: "
            "predict v, the velocity or x_0."
        )
        return trip, (Finding("parameterisation", said),)
    if trip.amplified > 0.1:
        said = (
            f"{name} prediction {place}: a network error of 1 % becomes {number(trip.amplified)} "
            "in x_0. Few steps begin there; v, the velocity or x_0 keep it at 1 %."
        )
        return trip, (Finding("parameterisation", said, grave=False),)
    return trip, ()

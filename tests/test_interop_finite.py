"""Where diffusers walks out of its table, stands still or ends in NaN, and hush does not.

Exact denoisers, double precision, as in test_interop_laws.py.
"""

import pytest

pytest.importorskip("diffusers")

import torch
from schedulers import (
    EVENT,
    GAUSSIAN,
    SOLVERS,
    STEPPING,
    doubled,
    made,
    motion,
    ours,
    starting,
    theirs,
)

from hush.errors import UserError


def test_pndm_stays_near_the_flow_at_any_number_of_steps():
    """Data N(0, ¼) halve the start; at 499 trailing steps diffusers' PNDM multiplies it by -98."""
    one = torch.ones(1, *EVENT, dtype=torch.float64)
    options = {"timestep_spacing": "trailing", "skip_prk_steps": True}
    y, _ = theirs("PNDMScheduler", 499, one, GAUSSIAN, **options)
    x, _ = ours(motion("PNDMScheduler", 499, **options), one, GAUSSIAN)
    assert y.abs().max() > 50.0
    assert 0.45 < x.mean() < 0.55


@pytest.mark.parametrize("steps", [61, 103, 121])
def test_a_walk_has_as_many_steps_as_were_asked_for(steps):
    """By rounding, diffusers' trailing spacing has one more step at 62 of the first 1,000 numbers;
    it is timestep -1, whose ᾱ is read from the noisy end of the table."""
    with doubled("DDIMScheduler"):
        scheduler = made("DDIMScheduler", timestep_spacing="trailing")
        scheduler.set_timesteps(steps)
    assert len(scheduler.timesteps) == steps + 1
    assert scheduler.timesteps[-1] == -1
    assert motion("DDIMScheduler", steps, timestep_spacing="trailing").grid.steps == steps


@pytest.mark.parametrize("name", [*STEPPING, "DDPMScheduler"])
def test_a_walk_stays_within_the_chain(name):
    """1,000 leading steps with an offset of 1, legal in diffusers, index past its table."""
    z, _ = starting()
    with pytest.raises(IndexError):
        theirs(name, 1000, z, timestep_spacing="leading", steps_offset=1)
    with pytest.raises(UserError, match="timestep 1000 of a chain whose last is 999"):
        motion(name, 1000, timestep_spacing="leading", steps_offset=1)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_walk_is_finite(name):
    """1,000 steps from 1,000 timesteps of which one is left out: diffusers stands twice at one,
    divides by the step between and ends in NaN."""
    one = torch.ones(1, *EVENT, dtype=torch.float64)
    y, _ = theirs(name, 1000, one, GAUSSIAN)
    assert y.isnan().all()
    with pytest.raises(UserError, match="twice at one timestep: take fewer"):
        motion(name, 1000)


@pytest.mark.parametrize("options", [{"predict_x0": False}, {"lower_order_final": False}], ids=str)
def test_a_step_to_the_data_is_finite(options):
    """diffusers' UniPC divides by the infinite log-SNR there."""
    z, _ = starting()
    y, _ = theirs("UniPCMultistepScheduler", 10, z, **options)
    x, _ = ours(motion("UniPCMultistepScheduler", 10, **options), z)
    assert not y.isfinite().any()
    assert x.isfinite().all()


@pytest.mark.parametrize("name", [*SOLVERS[:2], "EDMDPMSolverMultistepScheduler"])
def test_a_step_to_nowhere_is_nowhere(name):
    """Where a spacing of σ ends at σ_min already, so does the step from there to σ_min; diffusers
    divides by its length."""
    spaced = {"use_exponential_sigmas": True} if name in SOLVERS else {}
    spaced = {**spaced, "final_sigmas_type": "sigma_min", "solver_order": 3}
    spaced |= {"lower_order_final": False} if name == SOLVERS[1] else {}
    spaced |= {} if name in SOLVERS else {"sigma_schedule": "exponential"}
    z, _ = starting()
    y, _ = theirs(name, 20, z, **spaced)
    x, _ = ours(motion(name, 20, **spaced), z)
    assert y.isnan().all()
    assert x.isfinite().all()


def test_a_variance_is_not_negative():
    """diffusers takes the square root of log β for fixed_large_log."""
    z, _ = starting()
    y, _ = theirs("DDPMScheduler", 10, z, noises=[z] * 10, variance_type="fixed_large_log")
    assert y.isnan().all()

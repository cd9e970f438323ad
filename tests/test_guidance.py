"""Thresholds: beliefs stay where the data can be, and walks with them."""

import pytest
import torch

from hush.guidance import Clip, DynamicThreshold
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Ancestral, Heun, walk
from hush.samplers.grids import Uniform
from hush.schedules import Tabulated, VariancePreserving
from hush.testing import GaussianMixture, MixtureDenoiser

WIDE = GaussianMixture(
    torch.ones(1, dtype=torch.float64),
    torch.zeros(1, 3, dtype=torch.float64),
    torch.full((1,), 9.0, dtype=torch.float64),
)


def test_beliefs_inside_the_range_are_untouched_and_others_land_on_its_edge():
    denoiser = MixtureDenoiser(GaussianProcess(VariancePreserving()), WIDE)
    x = Streams.of(0, 500).normal((3,), torch.float64)
    free, held = denoiser(x, 0.1).mean, Clip(-0.5, 2.0)(denoiser)(x, 0.1).mean
    inside = (free >= -0.5) & (free <= 2.0)
    assert 0 < inside.sum() < inside.numel()
    assert torch.equal(held[inside], free[inside])
    assert set(held[~inside].tolist()) == {-0.5, 2.0}


@pytest.mark.parametrize("sampler", [Ancestral(0.0), Ancestral(1.0), Heun()])
def test_a_walk_with_clipped_beliefs_ends_inside_the_range(sampler):
    process = GaussianProcess(Tabulated())
    denoiser = Clip()(MixtureDenoiser(process, WIDE, spread=False))
    rng = Streams.of(0, 200)
    x = rng.normal((3,), torch.float64)
    *_, last = walk(sampler, denoiser, x, Uniform(20)(process.schedule), rng.next())
    assert last.x.abs().max() <= 1.0 + 1e-12
    assert (last.x.abs() > 0.99).double().mean() > 0.3  # most of N(0, 9) lies outside


def test_noise_inferred_from_a_clipped_belief_keeps_the_state_consistent():
    """x_t = α x̂_0 + σ ε̂ with both from the clipped belief: DDIM's step is α_s x̂_0 + σ_s ε̂."""
    process = GaussianProcess(VariancePreserving())
    denoiser = Clip()(MixtureDenoiser(process, WIDE, spread=False))
    t, s = (process.schedule.level(time) for time in (0.6, 0.4))
    rng = Streams.of(1, 50)
    x = 3 * rng.normal((3,), torch.float64)
    *_, last = walk(Ancestral(0.0), denoiser, x, [t, s], rng.next())
    mean = denoiser(x, t).mean
    noise = (x - t.alpha * mean) / t.sigma
    torch.testing.assert_close(last.x, s.alpha * mean + s.sigma * noise, atol=1e-12, rtol=0)


def test_a_dynamic_threshold_leaves_quiet_samples_alone_and_scales_loud_ones():
    """Saharia et al.: s is a quantile of |x_0|; clip to [-s, s], divide by s if s > 1."""
    denoiser = MixtureDenoiser(GaussianProcess(VariancePreserving()), WIDE, spread=False)
    x = Streams.of(3, 200).normal((3,), torch.float64)
    free = denoiser(x, 0.01).mean
    held = DynamicThreshold(share=1.0)(denoiser)(x, 0.01).mean
    for before, after in zip(free, held, strict=True):
        edge = before.abs().max()
        torch.testing.assert_close(after, before / edge if edge > 1 else before)
    assert 0 < (free.abs().amax(1) > 1).sum() < 200
    cut = DynamicThreshold(share=0.5)(denoiser)(x, 0.01).mean
    middle = free.abs().median(1).values.clamp(min=1.0)
    expected = free.clamp(-middle[:, None], middle[:, None]) / middle[:, None]
    torch.testing.assert_close(cut, expected)

"""hush and diffusers walk the same: same weights, same chain, same noise, the same samples.

diffusers stores its tables in float32; in double precision they are put in its place here, from its
own formula, so that what is compared is the step.
"""

import pytest
import torch

from hush.denoisers import Denoiser, GaussianDenoiser
from hush.distributions import Gaussian
from hush.networks import UNet
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Ancestral, walk
from hush.samplers.grids import Chain
from hush.schedules import Tabulated

diffusers = pytest.importorskip("diffusers")

SHAPE = (2, 5, 6)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}
DDPM_TOLERANCE = {torch.float32: 3e-5, torch.float64: 1e-9}  # see the law of whose digits are lost
TYPES = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
STEPS = pytest.mark.parametrize("steps", [10, 50, 100])
SPACINGS = pytest.mark.parametrize("spacing", ["trailing", "leading"])


@pytest.fixture(scope="module")
def network():
    """A small network of random weights, none of them silent, that says about the noise."""
    made = UNet(SHAPE[0], width=8, multipliers=(1,), blocks=1, attention=(), head=8)
    generator = torch.Generator().manual_seed(0)
    for parameter in made.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return Close(made.eval())


class Close(torch.nn.Module):
    """ε ≈ x where the chain is noisy: keeps the walk of random weights at a natural scale."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, clock, cond=None):
        share = (clock / 1000.0).sqrt().reshape(-1, 1, 1, 1)
        return share * x + 0.1 * self.network(x, clock)


def start(dtype, steps, count=3):
    """x_T, and the noise of each step, from the streams that hush walks with."""
    rng = Streams.of(5, count)
    x = rng.normal(SHAPE, dtype)
    noises = [rng.next(1 + k).normal(SHAPE, dtype) for k in range(steps)]
    return x, rng.next(), noises


def scheduler(cls, spacing, dtype, **options):
    made = cls(
        num_train_timesteps=1000,
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule="linear",
        clip_sample=False,
        timestep_spacing=spacing,
        steps_offset=0,
        **options,
    )
    if dtype == torch.float64:
        made.betas = torch.linspace(1e-4, 0.02, 1000, dtype=dtype)
        made.alphas = 1.0 - made.betas
        made.alphas_cumprod = made.alphas.cumprod(0)
        made.one = made.final_alpha_cumprod = torch.tensor(1.0, dtype=dtype)
    return made


def ours(network, sampler, steps, spacing, dtype):
    chain = Tabulated.linear(1000, 1e-4, 0.02)
    denoiser = GaussianDenoiser(GaussianProcess(chain), network.to(dtype))
    x, rng, _ = start(dtype, steps)
    with torch.no_grad():
        *_, state = walk(sampler, denoiser, x, Chain(steps, spacing)(chain), rng)
    return state.x


def theirs(network, made, steps, dtype, monkeypatch, **options):
    x, _, noises = start(dtype, steps)
    left = iter(noises)
    module = f"{type(made).__module__}.randn_tensor"
    monkeypatch.setattr(module, lambda *args, **kwargs: next(left))
    made.set_timesteps(steps)
    with torch.no_grad():
        for t in made.timesteps:
            said = network.to(dtype)(x, torch.full((len(x),), t.item(), dtype=dtype))
            x = made.step(said, t, x, **options).prev_sample
    return x


def agree(x, y, tolerance):
    scale = y.abs().max().item()
    assert 0.1 < scale < 100.0, "the walk of the random network left its natural scale"
    torch.testing.assert_close(x / scale, y / scale, rtol=0, atol=tolerance)


@TYPES
@STEPS
@SPACINGS
def test_ancestral_of_eta_1_is_ddpm(network, spacing, steps, dtype, monkeypatch):
    made = scheduler(diffusers.DDPMScheduler, spacing, dtype, variance_type="fixed_small")
    wanted = theirs(network, made, steps, dtype, monkeypatch)
    agree(ours(network, Ancestral(1.0), steps, spacing, dtype), wanted, DDPM_TOLERANCE[dtype])


@STEPS
@SPACINGS
def test_hush_in_single_precision_walks_as_in_double(network, spacing, steps):
    """Where the two part in float32 it is by the float32 tables of diffusers' DDPM (its 1 - ᾱ_t/ᾱ_s
    and 1 - ᾱ_s cancel: 1.2e-5 at 100 leading steps); hush keeps its levels in double."""
    walks = [ours(network, Ancestral(1.0), steps, spacing, dtype).double() for dtype in TOLERANCE]
    agree(*walks, tolerance=2e-6)


@TYPES
@STEPS
@SPACINGS
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ancestral_is_ddim_for_every_eta(network, eta, spacing, steps, dtype, monkeypatch):
    made = scheduler(diffusers.DDIMScheduler, spacing, dtype, set_alpha_to_one=True)
    wanted = theirs(network, made, steps, dtype, monkeypatch, eta=eta)
    agree(ours(network, Ancestral(eta), steps, spacing, dtype), wanted, TOLERANCE[dtype])


@SPACINGS
@pytest.mark.parametrize("steps", [10, 30, 50, 100, 300, 1000])
def test_the_steps_and_the_clock_are_theirs(spacing, steps):
    """Step i of the chain is their timestep i - 1, also where the steps do not divide the chain."""
    made = scheduler(diffusers.DDIMScheduler, spacing, torch.float32)
    made.set_timesteps(steps)
    levels = Chain(steps, spacing)(Tabulated.linear())
    assert [round(level.time * 1000) - 1 for level in levels[:-1]] == made.timesteps.tolist()


class Known(Denoiser):
    """Data that are one point, x_0 = 0.3: the belief is certain, and every step exact."""

    process = GaussianProcess(Tabulated.linear())

    def forward(self, x_t, t, cond=None):
        return Gaussian(torch.full_like(x_t, 0.3))


@pytest.mark.parametrize(("steps", "holds"), [(50, True), (30, False), (300, False)])
def test_what_a_step_arrives_at_is_what_the_next_one_starts_from(steps, holds):
    """The law that diffusers' DDIM breaks, and hush keeps, where n does not divide T.

    With data of one point and the true noise ε, an η = 0 walk must stand on α_s x_0 + σ_s ε at each
    of its own times. diffusers goes down by T // n (33 of 33.3), whatever its timesteps say.
    """
    chain, x_0 = Tabulated.linear(), 0.3
    levels = Chain(steps, "trailing")(chain)
    x, rng, _ = start(torch.float64, 1)
    noise = (x - levels[0].alpha * x_0) / levels[0].sigma

    made = scheduler(diffusers.DDIMScheduler, "trailing", torch.float64, set_alpha_to_one=True)
    made.set_timesteps(steps)
    states = walk(Ancestral(0.0), Known(), x, levels, rng)
    y, ours_off, theirs_off = x, 0.0, 0.0
    for state, t in zip(states, [*made.timesteps, None], strict=True):
        wanted = state.t.alpha * x_0 + state.t.sigma * noise
        ours_off = max(ours_off, (state.x - wanted).abs().max().item())
        theirs_off = max(theirs_off, (y - wanted).abs().max().item())
        if t is not None:
            said = (y - state.t.alpha * x_0) / state.t.sigma  # the true noise of where it claims
            y = made.step(said, t, y).prev_sample
    assert ours_off < 1e-12
    assert (theirs_off < 1e-10) == holds
    if not holds:
        assert theirs_off > 1e-3

"""Bits per dimension: the exact ones where they are known, whatever the units and the levels."""

import math
from dataclasses import replace

import pytest
import torch

import hush
from hush.codecs import Levels
from hush.data import InMemory
from hush.denoisers import variances
from hush.errors import UserError
from hush.evaluation import histogram, likelihood
from hush.networks import Backbone
from hush.processes import CategoricalProcess, GaussianProcess
from hush.processes.kernels import Absorbing, Uniform
from hush.rng import Streams
from hush.samplers import Ancestral
from hush.schedules import Tabulated, VariancePreserving, absorbing_betas
from hush.systems.analytic_dpm import retold
from hush.testing import GaussianMixture, JointTable, MixtureDenoiser, TableDenoiser

SMALL = Backbone(width=8, multipliers=(1,), blocks=1, attention=())
SHAPE = (1, 2, 2)


def system(denoiser, codec):
    """A system of an exact denoiser, with a parameter for its device to be found by."""
    denoiser.register_parameter("anchor", torch.nn.Parameter(torch.zeros(())))
    made = hush.systems.ddpm(SHAPE, (), SMALL, clip=False)
    return replace(made, denoiser=denoiser, codec=codec)


def gaussian_pictures(count=600):
    """Independent N(0.5, 0.05²) values in data units, the codec fitted to them, and the data in its
    units, for which the denoiser is exact."""
    images = 0.5 + 0.05 * Streams.of(0, count).normal(SHAPE, torch.float32)
    codec = hush.systems.ddpm(SHAPE, (), SMALL).codec.fit([images])
    mean, deviation = (0.5 - codec.shift.item()) / codec.scale.item(), 0.05 / codec.scale.item()
    law = GaussianMixture.of([1.0], [[[[mean] * 2] * 2]], [deviation**2])
    return images, codec, law


@pytest.mark.parametrize("method", ["flow", "continuous", "bound"])
def test_continuous_data_are_measured_in_their_own_units(method):
    """-log2 N(x; 0.5, 0.05²) per value: the codec's Jacobian is taken out."""
    images, codec, law = gaussian_pictures()
    schedule = Tabulated.cosine(400) if method == "bound" else VariancePreserving()
    exact = MixtureDenoiser(GaussianProcess(schedule), law)
    found = likelihood(system(exact, codec), InMemory(images), method, start=1e-3, draws=64)
    wanted = (0.5 * ((images - 0.5) / 0.05) ** 2 + math.log(0.05 * math.tau**0.5)).mean()
    # The prior is that of unit-variance data, and α_1 is not 0: nothing to speak of here.
    assert abs(found.bits - wanted / math.log(2.0)) < 4 * found.error + 5e-3
    assert found.error < 0.1
    assert found.count == 600


@pytest.mark.parametrize("kernel", [Uniform(4), Absorbing(5)], ids=repr)
def test_tokens_are_measured_exactly_where_the_denoiser_is_exact(kernel):
    """Four independent tokens of one law: E -log2 p, by the chain, in however many steps."""
    p = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    betas = absorbing_betas(30) if kernel.tokens < kernel.states else Tabulated.cosine(30).betas
    process = CategoricalProcess(Tabulated(betas), kernel)
    joint = p
    for _ in range(3):
        joint = joint.unsqueeze(-1) * p
    table = JointTable(joint)
    tokens = table.sample(Streams.of(1, 200)).reshape(-1, *SHAPE)

    class Flat(TableDenoiser):
        def forward(self, x_t, t, cond=None):
            belief = super().forward(x_t.flatten(1), t, cond)
            return replace(belief, logits=belief.logits.reshape(*x_t.shape, -1))

    source = InMemory((tokens.double() / 3).float(), levels=4)
    exact = p[tokens].log2().mul(-1.0).flatten(1).mean(1)
    for steps in (30, 10):
        found = likelihood(system(Flat(process, table), Levels(4)), source, steps=steps)
        assert abs(found.bits - exact.mean()) < 4 * found.error
        total = found.prior + found.data + sum(bits for _, bits in found.profile)
        assert total == pytest.approx(found.bits)


def test_the_histogram_is_the_cross_entropy_of_each_pixel():
    train = torch.tensor([[0.0, 1.0], [0.0, 0.5], [0.5, 1.0]]).reshape(3, 1, 1, 2)
    test = torch.tensor([[0.0, 0.0]]).reshape(1, 1, 1, 2)
    found = histogram(train, test, 3)  # counts 2 1 0 and 0 1 2, one added to each
    assert found.bits == pytest.approx(0.5 * (-math.log2(3 / 6) - math.log2(1 / 6)))


@pytest.fixture
def digits():
    source = hush.data.digits()
    return hush.data.Subset(source, range(0, 400, 8))


def made(name, **how):
    torch.manual_seed(0)
    model = getattr(hush.systems, name)((1, 8, 8), (), SMALL, **how)
    images = hush.data.digits().read(range(200))["image"]
    model.codec.fit([images], 17)
    for parameter in model.denoiser.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.05)
    return model


@pytest.mark.parametrize(
    ("name", "how", "method", "options"),
    [
        ("ddpm", {"chain": 40}, "bound", {}),
        ("ddpm", {"chain": 40}, "continuous", {"draws": 2}),
        ("improved_ddpm", {"chain": 40, "levels": 17}, "bound", {}),
        ("vdm", {"levels": 17}, "continuous", {"draws": 2}),
        ("d3pm", {"levels": 17, "chain": 40}, "bound", {}),
        ("ardm", {"levels": 17}, "bound", {}),
    ],
)
def test_a_picture_costs_the_same_in_any_batch(digits, name, how, method, options):
    model = made(name, **how)
    whole, parts = (likelihood(model, digits, method, batch=b, **options) for b in (50, 7))
    assert math.isfinite(whole.bits)
    assert whole.bits == pytest.approx(parts.bits, rel=1e-4)
    assert whole.error == pytest.approx(parts.error, rel=1e-3)


def test_what_does_not_fit_is_refused_in_words(digits):
    with pytest.raises(UserError, match="no chain"):
        likelihood(made("rectified_flow"), digits, "bound")
    with pytest.raises(UserError, match="no probability flow"):
        likelihood(made("d3pm", levels=17, chain=40), digits, "flow")


def test_a_run_told_again_has_the_measured_variances_and_a_lower_bound(digits):
    model = made("ddpm", chain=40)
    better = retold(model, digits, levels=40, steps=10)
    assert isinstance(better.denoiser.variance, variances.Analytic)
    assert better.name == "analytic_dpm"
    assert better.sampler == Ancestral(settle=True)
    for steps in (5, 10, 40):
        fixed, measured = (likelihood(m, digits, steps=steps).bits for m in (model, better))
        assert measured < fixed
    again = hush.systems.analytic_dpm(**better.arguments)
    again.denoiser.load_state_dict(better.denoiser.state_dict())
    again.codec.load_state_dict(better.codec.state_dict())
    assert torch.equal(again.sample(2, seed=1), better.sample(2, seed=1))


def test_analytic_dpm_alone_says_how_it_is_made():
    with pytest.raises(UserError, match="hush retell"):
        hush.systems.analytic_dpm((1, 8, 8))

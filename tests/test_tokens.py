"""Tokens: bounds, samples and beliefs against brute force over all that there is."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from hush.codecs import Levels
from hush.denoisers import CategoricalDenoiser
from hush.distributions import Categorical, kl
from hush.errors import UserError
from hush.likelihoods.bound import bound, step
from hush.likelihoods.continuous import continuous
from hush.networks import Backbone
from hush.networks.tokens import Nominal, Ordinal, TokenNetwork
from hush.processes import CategoricalProcess
from hush.processes.kernels import (
    Absorbing,
    Banded,
    DiscretisedGaussian,
    MaskAndReplace,
    NearestNeighbour,
    Uniform,
)
from hush.rng import Streams
from hush.samplers import Ancestral, Jumps, Multistep, RePaint, walk
from hush.samplers.grids import Chain
from hush.samplers.grids import Uniform as Even
from hush.schedules import Rectified, Tabulated, absorbing_betas
from hush.systems.d3pm import d3pm
from hush.testing.tokens import JointTable, TableDenoiser

K, DDPM = 3, Ancestral()
KERNELS = [
    Uniform(K),
    Absorbing(K + 1),
    MaskAndReplace(K + 1, 0.6),
    DiscretisedGaussian(K),
    Banded(K, 1),
    NearestNeighbour(((1,), (2,), (0,))),
]
over_kernels = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: type(kernel).__name__)


def ended(steps=10):
    """A chain that leaves nothing of the data."""
    return Tabulated(absorbing_betas(steps))


def every_state(states, length):
    return torch.cartesian_prod(*(torch.arange(states),) * length).reshape(-1, length)


def expected(process, x_0, t, value):
    """E over x_t ~ q(x_t | x_0) of value(x_t): all x_t weighed, none drawn. x_0 is one sequence."""
    x_t = every_state(process.kernel.states, x_0.shape[1])
    weights = process.marginal(x_0, t).log_probs[0].gather(1, x_t.T).sum(0).exp()
    x_t, weights = x_t[weights > 0.0], weights[weights > 0.0]
    return (weights * value(x_t)).sum()


def whole_bound(denoiser, x_0, levels):
    """The bound on -log p(x_0), with no draws."""
    process = denoiser.process
    total = kl(process.marginal(x_0, levels[0]), process.prior(tuple(x_0.shape), x_0))[0]
    for t, s in pairwise(levels):

        def cost(x_t, t=t, s=s):
            return step(process, denoiser(x_t, t), x_0.expand(len(x_t), -1), x_t, s, t)

        total = total + expected(process, x_0, t, cost)
    return total


# -- the bound -------------------------------------------------------------------------------------


@over_kernels
def test_of_one_token_the_bound_is_exact(kernel):
    """The exact belief makes the exact reverse law: nothing is lost but what is left at t = 1."""
    table, chain = JointTable.random(K, 1), ended()
    if isinstance(kernel, DiscretisedGaussian):  # goes by β, not by κ: wide steps until all is gone
        chain = Tabulated((0.9,) * 100)
    denoiser = TableDenoiser(CategoricalProcess(chain, kernel), table)
    levels = Chain(chain.steps)(chain)
    for token in range(K):
        x_0 = torch.tensor([[token]])
        got = whole_bound(denoiser, x_0, levels)
        assert got.item() == pytest.approx(-table.log_prob(x_0).item(), abs=1e-10)


@over_kernels
def test_of_two_tokens_the_bound_lies_above_and_comes_nearer_with_steps(kernel):
    if isinstance(kernel, DiscretisedGaussian):
        pytest.skip("another number of steps is another process")
    table = JointTable.random(K, 2)
    gaps = []
    for steps in (2, 6, 18):
        chain = ended(18)
        denoiser = TableDenoiser(CategoricalProcess(chain, kernel), table)
        x = every_state(K, 2)
        weights = table.log_prob(x).exp()
        bounds = torch.stack([whole_bound(denoiser, one[None], Chain(steps)(chain)) for one in x])
        gaps.append(((bounds + table.log_prob(x)) * weights).sum().item())
    assert gaps[0] > 1.8 * gaps[1] > 3.2 * gaps[2] > 0.0, gaps


def test_the_drawn_bound_is_the_exact_one_on_average():
    table, chain = JointTable.random(K, 2), ended(6)
    denoiser = TableDenoiser(CategoricalProcess(chain, MaskAndReplace(K + 1, 0.6)), table)
    x_0, levels = torch.tensor([[2, 0]]), Chain(6)(chain)
    drawn = bound(denoiser, x_0.expand(20_000, -1), levels, Streams.of(0, 20_000)).total
    exact = whole_bound(denoiser, x_0, levels)
    assert abs(drawn.mean() - exact) < 4.0 * drawn.std() / 20_000**0.5


class Linear(Rectified):
    """κ_t = α_t² = 1 - t: MDLM's log-linear schedule."""

    def __call__(self, t):
        return (1.0 - t).sqrt(), t.sqrt()

    def rates(self, t):
        level = self.level(t)
        return -0.5 / level.alpha, 0.5 / level.sigma


def gauss_legendre(count):
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return (0.5 + 0.5 * nodes).tolist(), (0.5 * weights).tolist()


@pytest.mark.parametrize("length", [2, 3])
@pytest.mark.parametrize("schedule", [Rectified(), Linear()], ids=["rectified", "log-linear"])
def test_masking_in_continuous_time_loses_nothing_however_it_is_scheduled(schedule, length):
    """∫ rate dt = the mean over orders of Σ -log p(x_k | shown before) = -log p(x) (MDLM)."""
    table = JointTable.random(K, length)
    denoiser = TableDenoiser(CategoricalProcess(schedule, Absorbing(K + 1)), table)
    nodes, weights = gauss_legendre(12)
    for x_0 in every_state(K, length)[:: max(1, length - 1)]:
        x_0 = x_0[None]
        total = 0.0
        for time, weight in zip(nodes, weights, strict=True):
            level = schedule.level(time)

            def rate(x_t, level=level, x_0=x_0):
                belief = denoiser(x_t, level)
                return denoiser.process.rate(x_0.expand(len(x_t), -1), belief, x_t, level)

            total += weight * expected(denoiser.process, x_0, level, rate).item()
        assert total == pytest.approx(-table.log_prob(x_0).item(), abs=1e-10)


@pytest.mark.parametrize("kernel", [Absorbing(K + 1), MaskAndReplace(K + 1), Banded(K)], ids=str)
def test_the_continuous_bound_is_the_limit_of_the_chains(kernel):
    """Each is drawn: the integral of the rates, and a chain so long that it is nearly the limit."""
    table, count = JointTable.random(K, 2), 4000
    denoiser = TableDenoiser(CategoricalProcess(Linear(), kernel), table)
    x_0, levels = torch.tensor([[2, 0]]).expand(count, -1), Even(200)(Linear())
    integral = continuous(denoiser, x_0, Streams.of(0, count), draws=8).total
    chain = bound(denoiser, x_0, levels, Streams.of(1, count)).total
    error = ((integral.var() + chain.var()) / count) ** 0.5
    assert abs(integral.mean() - chain.mean()) < 4.0 * error + 0.01


# -- samples ---------------------------------------------------------------------------------------


def misfit(x, table):
    """χ² of the counts of samples against the table, and its degrees of freedom."""
    place = torch.zeros(len(x), dtype=torch.int64)
    for axis in range(table.length):
        place = place * table.tokens + x[:, axis]
    counts = place.bincount(minlength=table.p.numel()).double()
    expected = table.p.flatten() * len(x)
    return ((counts - expected) ** 2 / expected).sum().item(), table.p.numel() - 1


def drawn(denoiser, levels, count=20_000, sampler=DDPM):
    rng = Streams.of(7, count)
    process = denoiser.process
    x = process.prior((count, denoiser.table.length), torch.empty(0)).sample(rng)
    *_, last = walk(sampler, denoiser, x, levels, rng.next())
    return last.x


@over_kernels
def test_samples_of_one_token_follow_its_law(kernel):
    table, chain = JointTable.random(K, 1), ended()
    if isinstance(kernel, DiscretisedGaussian):
        chain = Tabulated((0.9,) * 100)
    denoiser = TableDenoiser(CategoricalProcess(chain, kernel), table)
    got, freedom = misfit(drawn(denoiser, Chain(10)(chain)), table)
    assert got < 16.0, freedom  # χ² of 2 degrees passes 16 once in 3,000


def test_samples_of_two_tokens_follow_their_joint_law_with_many_steps():
    table, chain = JointTable.random(K, 2), ended(100)
    for kernel in (Absorbing(K + 1), Uniform(K)):
        denoiser = TableDenoiser(CategoricalProcess(chain, kernel), table)
        few, _ = misfit(drawn(denoiser, Chain(1)(chain), 6000), table)
        many, _ = misfit(drawn(denoiser, Chain(100)(chain), 6000), table)
        assert many < 28.0  # of 8 degrees of freedom, once in 2,000
        assert few > 100.0  # one step draws the tokens as if they knew nothing of each other


@pytest.mark.parametrize("kernel", [Absorbing(K + 1), Uniform(K)], ids=["Absorbing", "Uniform"])
def test_repaint_keeps_known_tokens_and_with_repeats_draws_the_others_given_them(kernel):
    table, chain = JointTable.random(K, 2), ended(20)
    denoiser = TableDenoiser(CategoricalProcess(chain, kernel), table)
    known, mask = torch.tensor([[1, 0]]), torch.tensor([[True, False]])
    given = table.p[1] / table.p[1].sum()
    blind = (table.p.sum(0) - given).abs().max()
    off = []
    for repeats in (1, 12):
        levels = Jumps(20, Even(), 3, repeats)(chain)
        x = drawn(denoiser, levels, 1500, RePaint(known=known, mask=mask))
        assert (x[:, 0] == 1).all()
        off.append((x[:, 1].bincount(minlength=K) / len(x) - given).abs().max())
    assert off[1] < 0.7 * off[0] < 0.5 * blind, (off, blind)


@over_kernels
def test_a_sample_is_the_same_in_any_part_of_a_batch(kernel):
    table, chain = JointTable.random(K, 2), ended(5)
    denoiser = TableDenoiser(CategoricalProcess(chain, kernel), table)
    rng = Streams.of(3, 6)
    x = denoiser.process.prior((6, 2), torch.empty(0)).sample(rng)
    *_, whole = walk(Ancestral(), denoiser, x, Chain(5)(chain), rng.next())
    for part in (slice(0, 2), slice(2, 6)):
        *_, half = walk(Ancestral(), denoiser, x[part], Chain(5)(chain), rng[part].next())
        assert torch.equal(half.x, whole.x[part])


# -- what a network believes -----------------------------------------------------------------------


class Says(torch.nn.Module):
    """A network that always says the same of a token in a state."""

    def __init__(self, states, tokens):
        super().__init__()
        self.logits = Streams.of(1, 1).normal((states, tokens), torch.float64)[0]

    def forward(self, x, clock, cond=None):
        return self.logits[x]


@over_kernels
def test_the_reverse_step_is_d3pms_sum_over_all_data(kernel):
    """p(x_s | x_t) ∝ Σ_{x_0} q(x_s, x_t | x_0) p̃(x_0), D3PM's x_0-parameterisation."""
    chain = ended(8)
    process = CategoricalProcess(chain, kernel)
    network = Says(kernel.states, kernel.tokens)
    denoiser = CategoricalDenoiser(process, network)
    x_t = torch.arange(kernel.states)[:, None]
    for s, t in ((0.25, 0.375), (0.125, 0.75), (0.0, 0.125)):
        zero, before, after = (chain.level(time) for time in (0.0, s, t))
        first = kernel.matrix(chain, zero, before)[: kernel.tokens]
        second = kernel.matrix(chain, before, after)
        said = network.logits[x_t[:, 0]].softmax(-1)
        joint = torch.einsum("xk,ks,sx->xs", said, first, second)
        want = joint / joint.sum(-1, keepdim=True)
        got = process.reverse(denoiser(x_t, t), x_t, s, t).probs[:, 0]
        torch.testing.assert_close(got, want, rtol=0.0, atol=1e-6)


def test_behind_a_mask_the_network_is_believed_and_beside_it_the_token():
    process = CategoricalProcess(ended(8), Absorbing(K + 1))
    network = Says(K + 1, K)
    belief = CategoricalDenoiser(process, network)(torch.tensor([[K, 1]]), 0.5)
    want = network.logits[K].softmax(-1)
    torch.testing.assert_close(belief.probs[0, 0, :K].double(), want, rtol=0.0, atol=1e-6)
    assert belief.probs[0, 1].tolist() == [0.0, 1.0, 0.0, 0.0]


def test_a_belief_of_the_network_alone():
    process = CategoricalProcess(ended(8), Uniform(K))
    network = Says(K, K)
    belief = CategoricalDenoiser(process, network, evidence=False)(torch.tensor([[2]]), 0.5)
    want = network.logits[2].softmax(-1)
    torch.testing.assert_close(belief.probs[0, 0].double(), want, rtol=0.0, atol=1e-6)


# -- networks --------------------------------------------------------------------------------------

SMALL = Backbone(width=8, multipliers=(1, 2), blocks=1, attention=())
DIT = Backbone(network="dit", width=16, depth=1, head=8)


@pytest.mark.parametrize("backbone", [SMALL, DIT], ids=["unet", "dit"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 5, 7), (12,)])
@pytest.mark.parametrize("face", [Nominal, Ordinal])
def test_a_network_over_tokens_says_logits_of_every_place(face, shape, backbone):
    torch.manual_seed(0)
    network = TokenNetwork.of(backbone, shape, face(5), classes=3).eval()
    x = (Streams.of(0, 4).uniform(shape) * 6).long()  # the mask, 5, among them
    logits = network(x, torch.full((4,), 3.0), torch.tensor([0, 1, 2, -1]))
    assert logits.shape == (4, *shape, 5)
    assert logits.isfinite().all()
    moved = network.body.head.bias  # silent at first: every token has the same law
    with torch.no_grad():
        moved.add_(torch.linspace(-1.0, 1.0, len(moved)))
    changed = network(x, torch.full((4,), 3.0), torch.tensor([0, 1, 2, -1]))
    assert (changed - logits).abs().amax() > 0.01
    for part in (slice(0, 1), slice(1, 4)):
        again = network(x[part], torch.full((4,), 3.0)[part], torch.tensor([0, 1, 2, -1])[part])
        torch.testing.assert_close(again, changed[part], rtol=1e-4, atol=1e-5)


class Constant(torch.nn.Module):
    def __init__(self, *answer):
        super().__init__()
        self.answer = torch.tensor(answer)

    def forward(self, x, clock, cond=None):
        return self.answer.reshape(1, -1, *(1,) * (x.ndim - 2)).expand(x.shape)


def test_the_logistic_head_is_a_logistic_law_cut_off_at_the_ends():
    """p(k) ∝ S((v_k + w/2 - m)/b) - S((v_k - w/2 - m)/b), with m = tanh(v + shift)."""
    tokens, shift, log_width = 9, 0.3, 0.7
    network = TokenNetwork(Constant(shift, log_width), Ordinal(tokens))
    x = torch.tensor([[0, 4, 8, 9]])
    logits = network(x, torch.zeros(1))
    value = torch.linspace(-1.0, 1.0, tokens, dtype=torch.float64)
    width = torch.tensor(log_width - 2.0, dtype=torch.float64).exp()
    middles = (torch.tensor([-1.0, 0.0, 1.0, 0.0]).double() + shift).tanh()[:, None]
    mass = ((value + 0.125 - middles) / width).sigmoid() - (
        (value - 0.125 - middles) / width
    ).sigmoid()
    want = mass / mass.sum(-1, keepdim=True)
    torch.testing.assert_close(logits.softmax(-1)[0].double(), want, rtol=1e-4, atol=1e-6)


def test_a_sharp_logistic_head_keeps_its_digits():
    network = TokenNetwork(Constant(0.0, -8.0), Ordinal(256))
    logits = network(torch.arange(256)[None], torch.zeros(1))
    assert logits.isfinite().all()
    near = torch.linspace(-1.0, 1.0, 256).tanh()
    best = (torch.linspace(-1.0, 1.0, 256) - near[:, None]).abs().argmin(1)
    assert (logits[0].argmax(-1) - best).abs().max() <= 1


def test_ordinal_tokens_tell_a_mask_from_the_middle():
    face = Ordinal(5)
    middle, mask = face.read(torch.tensor([[[2]]])), face.read(torch.tensor([[[5]]]))
    assert middle.flatten().tolist() == [0.0, 0.0]
    assert mask.flatten().tolist() == [0.0, 1.0]


# -- the oracle itself -----------------------------------------------------------------------------


def test_a_table_draws_its_own_law():
    table = JointTable.random(K, 2)
    got, _ = misfit(table.sample(Streams.of(0, 20_000)), table)
    assert got < 28.0
    x = every_state(K, 2)
    log_prob = table.log_prob(x)
    assert log_prob.exp().sum().item() == pytest.approx(1.0, abs=1e-12)
    assert table.entropy().item() == pytest.approx(-(log_prob.exp() * log_prob).sum().item())


@over_kernels
def test_the_tables_belief_is_bayes_rule(kernel):
    table, chain = JointTable.random(K, 2), ended(4)
    process = CategoricalProcess(chain, kernel)
    x, level = every_state(K, 2), chain.level(0.5)
    x_t = every_state(kernel.states, 2)
    laws = process.marginal(x, level).log_probs
    joint = torch.stack(
        [table.log_prob(x) + sum(laws[:, i, one[i]] for i in range(2)) for one in x_t]
    ).exp()
    possible = joint.sum(1) > 0.0
    belief = TableDenoiser(process, table)(x_t[possible], level)
    assert isinstance(belief, Categorical)
    for place in range(2):
        for token in range(K):
            mass = joint[possible][:, x[:, place] == token].sum(1) / joint[possible].sum(1)
            got = belief.probs[:, place, token]
            torch.testing.assert_close(got, mass, rtol=0.0, atol=1e-12)


# -- systems ---------------------------------------------------------------------------------------

PICTURES = (Streams.of(0, 4).uniform((1, 8, 8)) * 5).long()


@pytest.mark.parametrize("logistic", [True, False], ids=["logistic", "free"])
@pytest.mark.parametrize("kernel", ["gaussian", "uniform", "absorbing", "mask_and_replace"])
def test_d3pm_has_a_finite_loss_and_gradient_and_draws_levels(kernel, logistic):
    torch.manual_seed(0)
    system = d3pm((1, 8, 8), ("a", "b"), SMALL, 5, kernel, chain=30, logistic=logistic)
    loss = system.objective(system.denoiser, PICTURES, Streams.of(0, 4), torch.tensor([0, 1, 0, 1]))
    assert loss.shape == (4,)
    loss.mean().backward()
    assert loss.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in system.denoiser.parameters())
    for grid in (None, 7):
        x = system.sample(2, grid=grid, seed=0)
        assert (x * 4.0 == (x * 4.0).round()).all()
        assert x.shape == (2, 1, 8, 8)


@pytest.mark.parametrize("kernel", ["gaussian", "uniform", "absorbing", "mask_and_replace"])
def test_d3pms_loss_is_its_bound_on_average(kernel):
    """T KL at a uniform t, less the prior term, in nats per element; the cross-entropy left out."""
    torch.manual_seed(0)
    system = d3pm((1, 2, 2), levels=3, backbone=DIT, kernel=kernel, chain=25, auxiliary=0.0)
    x_0 = torch.tensor([[[[0, 2], [1, 1]]]]).expand(6000, -1, -1, -1)
    rng = Streams.of(1, 6000)
    with torch.no_grad():
        loss = system.objective(system.denoiser.eval(), x_0, rng)
        levels = Chain(25)(system.denoiser.process.schedule)
        whole = bound(system.denoiser, x_0[:2000], levels, rng[:2000])
    drawn = (whole.steps.sum(0) + whole.data) / 4.0
    error = (loss.var() / 6000 + drawn.var() / 2000) ** 0.5
    assert abs(loss.mean() - drawn.mean()) < 4.0 * error


def test_a_sampler_of_numbers_refuses_tokens_in_words():
    system = d3pm((1, 2, 2), levels=3, backbone=DIT, kernel="uniform", chain=25)
    with pytest.raises(UserError, match="walks numbers"):
        system.sample(2, sampler=Multistep(), seed=0)


def test_a_mask_is_shown_as_grey():
    codec = Levels(3)
    shown = codec.decode(torch.tensor([[0, 1, 2, 3]]))
    assert shown.tolist() == [[0.0, 0.5, 1.0, 0.5]]

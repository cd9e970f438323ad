"""Kernels: each through its suite, the papers' closed forms, and what the suites catch."""

import math
from dataclasses import dataclass

import pytest
import torch

from hush.errors import UserError
from hush.processes import CategoricalProcess
from hush.processes.kernels import (
    Absorbing,
    Banded,
    DiscretisedGaussian,
    Kernel,
    MaskAndReplace,
    NearestNeighbour,
    Uniform,
)
from hush.rng import Streams
from hush.schedules import Cosine, Rectified, Tabulated, VariancePreserving, absorbing_betas
from hush.testing import every
from hush.testing.kernels import check_kernel, check_token_process

WORDS = Streams.of(0, 9).normal((2,), torch.float64)
KERNELS = [
    *every(Kernel),
    Uniform(2),
    MaskAndReplace(4, 0.3),
    MaskAndReplace(3, 1.0),
    Banded(7, 2),
    DiscretisedGaussian(17),
    NearestNeighbour.of(WORDS, 3),
]
CHAINS = {
    "linear": Tabulated.linear(25),
    "absorbing": Tabulated(absorbing_betas(10)),
    "uneven": Tabulated((0.1, 0.01, 0.5, 0.2, 0.7, 0.3, 0.9)),
}
SCHEDULES = {
    **CHAINS,
    "cosine": Cosine(),
    "rectified": Rectified(),
    "continuous": VariancePreserving(),
}
on_every_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: repr(kernel)[:40])
on_every_schedule = pytest.mark.parametrize("name", SCHEDULES)


@on_every_schedule
@on_every_kernel
def test_kernel(kernel, name):
    if isinstance(kernel, DiscretisedGaussian) and name not in CHAINS:
        with pytest.raises(UserError, match="Tabulated"):
            check_kernel(kernel, SCHEDULES[name])
    else:
        check_kernel(kernel, SCHEDULES[name])


@on_every_schedule
@on_every_kernel
def test_process_of_tokens(kernel, name):
    if isinstance(kernel, DiscretisedGaussian) and name not in CHAINS:
        with pytest.raises(UserError, match="Tabulated"):
            check_token_process(CategoricalProcess(SCHEDULES[name], kernel))
    else:
        check_token_process(CategoricalProcess(SCHEDULES[name], kernel))


# -- the papers' own matrices ----------------------------------------------------------------------


def product(steps):
    whole = torch.eye(steps[0].shape[0], dtype=torch.float64)
    for step in steps:
        whole = whole @ step
    return whole


@pytest.mark.parametrize("kernel", [MaskAndReplace(5, 0.9), MaskAndReplace(6, 0.25)])
def test_mask_and_replace_is_the_product_of_the_papers_own_steps(kernel):
    """VQ-Diffusion's Q_t: α_t + β_t on the diagonal, β_t beside it, γ_t into the mask, with ᾱ = ∏α,
    γ̄ = 1 - ∏(1 - γ), α + Nβ + γ = 1."""
    chain, n = CHAINS["uneven"], kernel.tokens
    kept = (2.0 * chain.log_alpha).exp()
    masked = kernel.share * (1.0 - kept)
    alphas, gammas = kept[1:] / kept[:-1], 1.0 - (1.0 - masked[1:]) / (1.0 - masked[:-1])
    steps = []
    for alpha, gamma in zip(alphas, gammas, strict=True):
        step = torch.eye(n + 1, dtype=torch.float64)
        step[:n, :n] = (1.0 - alpha - gamma) / n + alpha * step[:n, :n]
        step[:n, n] = gamma
        steps.append(step)
    got = kernel.matrix(chain, chain.level(0.0), chain.level(1.0))
    torch.testing.assert_close(got, product(steps), rtol=0.0, atol=1e-12)


def test_the_touching_kernels_are_d3pms_steps():
    chain = CHAINS["uneven"]
    eye = torch.eye(4, dtype=torch.float64)
    for kernel, goes in ((Uniform(4), torch.full((4,), 0.25)), (Absorbing(4), eye[3])):
        steps = [(1.0 - beta) * eye + beta * goes.double().expand(4, 4) for beta in chain.betas]
        got = kernel.matrix(chain, chain.level(0.0), chain.level(1.0))
        torch.testing.assert_close(got, product(steps), rtol=0.0, atol=1e-12)


def test_discretised_gaussian_is_the_papers_formula_element_by_element():
    chain, states = Tabulated((0.02, 0.3)), 6
    for beta, (s, t) in zip(chain.betas, ((0.0, 0.5), (0.5, 1.0)), strict=True):
        bell = {n: math.exp(-4.0 * n**2 / (25 * beta)) for n in range(-5, 6)}
        total = sum(bell.values())
        got = DiscretisedGaussian(states).matrix(chain, chain.level(s), chain.level(t))
        for i in range(states):
            row = [bell[i - j] / total if i != j else 0.0 for j in range(states)]
            row[i] = 1.0 - sum(row)
            assert got[i].tolist() == pytest.approx(row, abs=1e-14)
        assert got.sum(0).tolist() == pytest.approx([1.0] * states, abs=1e-14)


def test_a_time_between_two_steps_stands_at_the_noisier_one():
    chain, kernel = Tabulated.linear(25), DiscretisedGaussian(5)
    data, step, before = (chain.level(t) for t in (0.0, 8 / 25, 7.2 / 25))
    assert torch.equal(kernel.matrix(chain, data, before), kernel.matrix(chain, data, step))
    assert torch.equal(kernel.matrix(chain, before, step), torch.eye(5, dtype=torch.float64))


def test_steps_of_many_lengths_in_one_batch_are_each_their_own():
    chain, kernel = Tabulated.linear(25), DiscretisedGaussian(4)
    s, t = torch.tensor([[0, 3, 3, 10], [4, 4, 25, 10]], dtype=torch.float64) / 25
    for batch in (slice(0, 4), slice(1, 2), slice(0, 1)):
        got = kernel.matrix(chain, chain.level(s[batch]), chain.level(t[batch]))
        for one, first, last in zip(got, s[batch].tolist(), t[batch].tolist(), strict=True):
            alone = kernel.matrix(chain, chain.level(first), chain.level(last))
            torch.testing.assert_close(one, alone, rtol=0.0, atol=1e-14)


def test_walks_let_their_slowest_mode_fade_as_the_data_do():
    schedule = Cosine()
    for kernel in (Banded(6, 1), Banded(6, 3), NearestNeighbour.of(WORDS, 2)):
        levels = schedule.level(0.0), schedule.level(0.4)
        speeds = torch.linalg.eigvalsh(kernel.matrix(schedule, *levels))
        assert speeds[-1].item() == pytest.approx(1.0, abs=1e-12)
        assert speeds[-2].item() == pytest.approx(levels[1].alpha ** 2, abs=1e-12)


def test_walks_are_the_exponential_of_their_graph():
    """D3PM's A = (G + Gᵀ)/2k of a graph of nearest neighbours, R its negative Laplacian."""
    kernel, schedule = NearestNeighbour.of(WORDS, 3), Cosine()
    apart = torch.cdist(WORDS, WORDS).fill_diagonal_(torch.inf)
    graph = (apart <= apart.kthvalue(3, 1).values[:, None]).double()
    weights = (graph + graph.T) / 6.0
    laplacian = weights.sum(1).diag() - weights
    slowest = torch.linalg.eigvalsh(laplacian)[1]
    level = schedule.level(0.3)
    time = -2.0 * math.log(level.alpha) / slowest
    want = torch.linalg.matrix_exp(-time * laplacian)
    got = kernel.matrix(schedule, schedule.level(0.0), level)
    torch.testing.assert_close(got, want, rtol=0.0, atol=1e-12)


def test_a_wide_band_is_the_uniform_kernel():
    chain = CHAINS["uneven"]
    ends = chain.level(0.0), chain.level(3 / 7)
    got, want = Banded(5, 4).matrix(chain, *ends), Uniform(5).matrix(chain, *ends)
    torch.testing.assert_close(got, want, rtol=0.0, atol=1e-12)


def test_a_long_ordinal_chain_forgets_its_data():
    chain, kernel = Tabulated.linear(1000), DiscretisedGaussian(17)
    whole = kernel.matrix(chain, chain.level(0.0), chain.level(1.0))
    assert (whole - kernel.stationary()).abs().max() < 0.01
    early = kernel.matrix(chain, chain.level(0.0), chain.level(0.3))
    assert early[0, 1] > 5.0 * early[0, 8]  # neighbours first


# -- errors ----------------------------------------------------------------------------------------


def test_a_graph_in_parts_is_refused():
    with pytest.raises(UserError, match="parts"):
        NearestNeighbour(((1,), (0,), (3,), (2,)))
    with pytest.raises(UserError, match="parts"):
        Banded(4, 0)


def test_a_chain_without_rates_says_so():
    process = CategoricalProcess(Tabulated.linear(25), DiscretisedGaussian(4))
    x = torch.zeros(1, 1, dtype=torch.int64)
    with pytest.raises(UserError, match="no rates"):
        process.rate(x, process.certain(x), x, 0.4)


# -- the suites catch what they are there for ------------------------------------------------------


def caught(check, value, words):
    with pytest.raises(AssertionError, match=words):
        check(value)


def test_the_suite_catches_kernels_that_are_wrong():
    class Leaking(Kernel):
        states, tokens = 5, 4

        def matrix(self, schedule, s, t):
            whole = Absorbing(5).matrix(schedule, s, t).clone()
            whole[..., -1, 0] += 0.01
            whole[..., -1, -1] -= 0.01
            return whole

        def generator(self, schedule, t):
            return Absorbing(5).generator(schedule, t)

        def stationary(self):
            return Absorbing(5).stationary()

    class Twice(Uniform):
        def generator(self, schedule, t):
            return 2.0 * super().generator(schedule, t)

    class Transposed(MaskAndReplace):
        def back(self, x_t, schedule, s, t):
            return self.matrix(schedule, s, t)[..., x_t, :]

    class Absolute(Uniform):
        def _shares(self, s, t):
            return t.alpha**2, 1.0

    class Lame(Banded):
        def matrix(self, schedule, s, t):
            return super().matrix(schedule, s, t) * (1.0 + 1e-9)

    class Elsewhere(Uniform):
        def stationary(self):
            return torch.tensor([0.4, 0.2, 0.2, 0.2], dtype=torch.float64)

    schedule = Cosine()
    for kernel, words in (
        (Leaking(), "back from the mask"),
        (Twice(), "rates"),
        (Transposed(), "back"),
        (Absolute(), "going"),
        (Lame(), "sums"),
        (Elsewhere(), "stationary"),
    ):
        caught(lambda value: check_kernel(value, schedule), kernel, words)


def test_the_suite_catches_processes_that_are_wrong():
    class Forgetful(CategoricalProcess):
        """Takes the belief as it is, not what it says beyond x_t."""

        def _weighed(self, posterior, x_t, t):
            return posterior.probs.double()

    class Half(CategoricalProcess):
        def rate(self, x_0, posterior, x_t, t):
            return 0.5 * super().rate(x_0, posterior, x_t, t)

    @dataclass(frozen=True)
    class Lax(CategoricalProcess):
        def reverse(self, posterior, x_t, s, t, eta=1.0):
            return super().reverse(posterior, x_t, s, t, 1.0)

    caught(check_token_process, Forgetful(Cosine(), Uniform()), "belief|Bayes")
    caught(check_token_process, Half(Cosine(), Uniform()), "rate")
    caught(check_token_process, Lax(Cosine(), Uniform()), "eta")

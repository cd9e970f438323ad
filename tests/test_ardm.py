"""Order-agnostic autoregression: the objective, its bound, the groups and the sampler."""

import math
from itertools import combinations, permutations

import pytest
import torch

from hush.errors import UserError
from hush.networks import Backbone
from hush.objectives.order_agnostic import OrderAgnostic, order_losses, random_order
from hush.processes import CategoricalProcess
from hush.processes.kernels import Absorbing, Uniform
from hush.processes.places import drawn
from hush.rng import Streams
from hush.samplers import walk
from hush.samplers.grids import Chain
from hush.samplers.order_agnostic import OrderAgnostic as InOrder
from hush.samplers.order_agnostic import group_sizes, groups
from hush.schedules import Tabulated, absorbing_betas
from hush.systems.ardm import ardm
from hush.testing.tokens import JointTable, TableDenoiser

K, D = 3, 3
CHAIN = Tabulated(absorbing_betas(D))
TABLE = JointTable.random(K, D)
DENOISER = TableDenoiser(CategoricalProcess(CHAIN, Absorbing(K + 1)), TABLE)
EVERY = torch.cartesian_prod(*(torch.arange(K),) * D)
ORDERS = torch.tensor(list(permutations(range(D))))


class Wrong(TableDenoiser):
    """A belief of another law: what a network that learnt badly says."""


def bounds(denoiser, x_0):
    """The bound on -log p of one sequence in each order."""
    return order_losses(denoiser, x_0.expand(len(ORDERS), -1), ORDERS).sum(1)


def test_in_the_mean_over_orders_the_bound_is_exact():
    for x_0 in EVERY:
        got = bounds(DENOISER, x_0[None]).mean().item()
        assert got == pytest.approx(-TABLE.log_prob(x_0[None]).item(), abs=1e-12)


def test_of_a_wrong_belief_the_bound_is_more_in_the_mean_over_data():
    wrong = TableDenoiser(DENOISER.process, JointTable.random(K, D, seed=1))
    weights = TABLE.log_prob(EVERY).exp()
    mean = sum(w * bounds(wrong, x[None]).mean() for w, x in zip(weights, EVERY, strict=True))
    assert mean > TABLE.entropy() + 0.1


def test_the_losses_are_the_chain_rule_along_one_order():
    """When all but one are shown, the loss is -log p of the last token given the others."""
    x_0, order = torch.tensor([[2, 0, 1]]), torch.tensor([[1, 2, 0]])  # the middle one comes last
    got = order_losses(DENOISER, x_0, order)[0]
    given = TABLE.p[2, :, 1]
    assert got[2].item() == pytest.approx(-(given[0] / given.sum()).log().item(), abs=1e-12)
    first = torch.stack([TABLE.p.sum([a for a in range(3) if a != i]) for i in range(3)])
    alone = -first.gather(1, x_0.T).log().mean().item()
    assert got[0].item() == pytest.approx(alone, abs=1e-12)


def test_the_objective_is_the_bound_per_element():
    """E over t and what is hidden, by enumeration: the mean over orders and counts."""
    x_0 = torch.tensor([[1, 2, 0]])
    level_of = {n: CHAIN.level(n / D) for n in range(1, D + 1)}
    judged = OrderAgnostic()
    total = 0.0
    for count, level in level_of.items():
        hidden = list(combinations(range(D), count))
        for places in hidden:
            x_t = x_0.clone()
            x_t[0, list(places)] = K
            loss = judged.judge(DENOISER.process, DENOISER(x_t, level), x_0, x_t, level)
            total += loss.item() / len(hidden) / D
    assert total == pytest.approx(-TABLE.log_prob(x_0).item() / D, abs=1e-12)
    count = 20_000
    loss = judged(DENOISER, x_0.expand(count, -1), Streams.of(0, count))
    assert abs(loss.mean() - total) < 4.0 * loss.std() / count**0.5


@pytest.mark.parametrize("steps", [D, 12])
def test_every_number_of_hidden_tokens_and_every_choice_is_as_likely(steps):
    seen = []

    class Watching(TableDenoiser):
        def forward(self, x_t, t, cond=None):
            seen.append(x_t == K)
            return super().forward(x_t, t, cond)

    process = CategoricalProcess(Tabulated(absorbing_betas(steps)), Absorbing(K + 1))
    count = 12_000
    OrderAgnostic()(Watching(process, TABLE), torch.zeros(count, D).long(), Streams.of(1, count))
    number = seen[0].sum(1)
    shares = number.bincount(minlength=D + 1)[1:] / count
    assert (shares - 1.0 / D).abs().max() < 0.02
    for hidden in range(1, D):
        each = seen[0][number == hidden].double().mean(0)
        assert (each - hidden / D).abs().max() < 0.03


def test_what_a_mask_leaves_out_is_shown_and_does_not_count():
    seen = []

    class Watching(TableDenoiser):
        def forward(self, x_t, t, cond=None):
            seen.append(x_t)
            return super().forward(x_t, t, cond)

    denoiser = Watching(DENOISER.process, TABLE)
    x_0 = torch.tensor([[1, 2, 0]]).expand(500, -1)
    mask = torch.tensor([[True, False, False]]).expand(500, -1)
    loss = OrderAgnostic()(denoiser, x_0, Streams.of(2, 500), mask=mask)
    assert (seen[0] == torch.tensor([K, 2, 0])).all()
    given = TABLE.p[:, 2, 0]
    want = torch.full_like(loss, -(given[1] / given.sum()).log().item())
    torch.testing.assert_close(loss, want, rtol=0.0, atol=1e-12)


def test_orders_want_an_absorbing_process():
    denoiser = TableDenoiser(CategoricalProcess(CHAIN, Uniform(K)), TABLE)
    x = torch.zeros(2, D, dtype=torch.int64)
    with pytest.raises(UserError, match="Absorbing"):
        OrderAgnostic()(denoiser, x, Streams.of(0, 2))
    with pytest.raises(UserError, match="Absorbing"):
        list(walk(InOrder(), denoiser, x, Chain(D)(CHAIN), Streams.of(0, 2)))


# -- the sampler -----------------------------------------------------------------------------------


def states(sizes, denoiser=DENOISER, count=9000, seed=4):
    levels = groups(sizes)(denoiser.process.schedule)
    rng = Streams.of(seed, count)
    x = torch.full((count, sum(sizes)), K)
    return list(walk(InOrder(), denoiser, x, levels, rng))


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 1), (1, 2), (3,)])
def test_each_step_shows_as_many_as_its_group_and_changes_none_that_was_shown(sizes):
    path = states(sizes, count=200)
    for before, after, size in zip(path, path[1:], sizes, strict=False):
        assert ((before.x == K).sum(1) - (after.x == K).sum(1) == size).all()
        shown = before.x != K
        assert torch.equal(before.x[shown], after.x[shown])


def test_the_order_is_random_and_each_samples_own():
    first = states((1, 1, 1))[1].x != K
    assert (first.double().mean(0) - 1.0 / D).abs().max() < 0.02
    whole = states((1, 1, 1), count=6)[-1].x
    levels = groups((1, 1, 1))(CHAIN)
    *_, last = walk(InOrder(), DENOISER, torch.full((2, D), K), levels, Streams.of(4, 6)[2:4])
    assert torch.equal(last.x, whole[2:4])


def test_one_at_a_time_the_samples_follow_the_joint_law():
    x = states((1, 1, 1))[-1].x
    counts = (x @ torch.tensor([K * K, K, 1])).bincount(minlength=K**D).double()
    want = TABLE.p.flatten() * len(x)
    assert ((counts - want) ** 2 / want).sum() < 59.0  # of 26 degrees of freedom, once in 4,000


def test_all_at_once_the_tokens_know_nothing_of_each_other():
    x = states((3,))[-1].x
    alone = [TABLE.p.sum([a for a in range(D) if a != i]) for i in range(D)]
    law = torch.einsum("i,j,k->ijk", *alone)
    counts = (x @ torch.tensor([K * K, K, 1])).bincount(minlength=K**D).double()
    want = law.flatten() * len(x)
    assert ((counts - want) ** 2 / want).sum() < 59.0


def test_places_are_drawn_among_those_allowed_and_no_more_than_there_are():
    among = torch.tensor([[True, False, True, True], [False, True, False, False]]).repeat(3000, 1)
    count = torch.tensor([2, 3]).repeat(3000)
    got = drawn(among, count, Streams.of(0, 6000))
    assert not (got & ~among).any()
    assert got.sum(1).tolist() == [2, 1] * 3000
    assert (got[::2].double().mean(0)[[0, 2, 3]] - 2 / 3).abs().max() < 0.03
    assert not drawn(among, -count, Streams.of(0, 6000)).any()


# -- the groups ------------------------------------------------------------------------------------


def cost(losses, sizes):
    total, shown = 0.0, 0
    for size in sizes:
        total += size * losses[shown]
        shown += size
    return total


def test_no_other_groups_cost_less():
    losses = (Streams.of(0, 1).uniform((7,))[0].sort(descending=True).values * 3.0).tolist()
    for steps in range(1, 8):
        best = group_sizes(losses, steps)
        cuts = combinations(range(1, 7), steps - 1)
        others = [[b - a for a, b in zip((0, *cut), (*cut, 7), strict=True)] for cut in cuts]
        assert (len(best), sum(best)) == (steps, 7)
        assert cost(losses, best) == pytest.approx(min(cost(losses, one) for one in others))


def test_groups_of_the_exact_belief_cost_what_their_samples_lose():
    """Σ g·losses[n] is the cross-entropy of data under what the groups draw, over all orders."""
    weights = TABLE.log_prob(EVERY).exp()
    losses = sum(
        w * order_losses(DENOISER, x[None].expand(len(ORDERS), -1), ORDERS).mean(0)
        for w, x in zip(weights, EVERY, strict=True)
    )
    assert losses.sum().item() == pytest.approx(TABLE.entropy().item(), abs=1e-12)
    marginals = [TABLE.p.sum([a for a in range(D) if a != i]) for i in range(D)]
    alone = sum(torch.special.entr(marginal).sum() for marginal in marginals)
    assert cost(losses.tolist(), (3,)) == pytest.approx(alone.item(), abs=1e-12)
    assert cost(losses.tolist(), group_sizes(losses.tolist(), 2)) < alone.item()


def test_groups_must_be_as_many_as_can_be():
    for steps in (0, 4):
        with pytest.raises(UserError, match="1 to 3 steps"):
            group_sizes([1.0, 1.0, 1.0], steps)


def test_orders_are_permutations():
    order = random_order((2, 3), Streams.of(0, 50))
    assert order.shape == (50, 2, 3)
    assert torch.equal(order.flatten(1).sort(1).values, torch.arange(6).expand(50, -1))
    assert math.isclose(order.double().mean().item(), 2.5)


def test_the_system_learns_draws_levels_and_takes_any_number_of_steps():
    torch.manual_seed(0)
    small = Backbone(width=8, multipliers=(1,), blocks=1, attention=())
    system = ardm((1, 4, 4), ("a", "b"), small, 3)
    cond = torch.arange(8) % 2
    x_0 = (2 * cond).reshape(8, 1, 1, 1).expand(8, 1, 4, 4)  # white or black, as the class says
    adam = torch.optim.Adam(system.denoiser.parameters(), 1e-2)
    losses = []
    for step in range(30):
        loss = system.objective(system.denoiser, x_0, Streams.of(step, 8), cond).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    for grid in (None, 5, 1):
        x = system.sample(2, grid=grid, seed=0)
        assert (x * 2.0 == (x * 2.0).round()).all()
    path = list(system.walk(3, grid=groups((1, 5, 10))))
    assert [(state.x == 3).flatten(1).sum(1).tolist() for state in path] == [
        [16] * 3,
        [15] * 3,
        [10] * 3,
        [0] * 3,
    ]

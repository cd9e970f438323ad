"""Series from what is known of them: what is hidden stays hidden, what is known comes back."""

from dataclasses import replace

import pytest
import torch
from windows import windows

from hush import systems
from hush.codecs import PerChannel
from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.networks.layers import attend
from hush.networks.series import SERIES
from hush.networks.structured import Structured
from hush.networks.two_axis import Encoder, TwoAxis
from hush.rng import Streams
from hush.samplers import Multistep
from hush.tasks.gaps import HIDE, as_missing, blackout, scattered, stretches
from hush.tasks.series import Impute
from hush.testing import FullGaussian, LinearGaussian

SHAPE, COUNT = (3, 20), 4000
SMALL = {
    "csdi": {"width": 8, "depth": 2, "heads": 2},
    "sssd": {"width": 8, "depth": 2, "states": 8},
}
EVERY = [*HIDE, "forecast"]


def task(hide="mix"):
    return Impute(SHAPE, hide=hide, horizon=5)


def made(name, shape=SHAPE, **options):
    """A small system with nothing silent in it."""
    torch.manual_seed(1)
    system = systems.index.find(name)(shape, **SMALL[name], **options)
    for parameter in system.denoiser.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    system.codec.fit([windows(50, *shape)["series"]])
    system.denoiser.eval()
    return system


# -- what training hides ---------------------------------------------------------------------------


@pytest.mark.parametrize("hide", EVERY)
def test_only_what_is_known_is_hidden_and_counts(hide):
    record = windows(200, *SHAPE)
    data, cond, mask = task(hide).example(record, Streams.of(3, 200))
    known = ~record["series"].isnan()
    assert not (mask & ~known).any()
    assert torch.equal(cond[SERIES].isnan(), mask | ~known)
    seen = known & ~mask
    assert torch.equal(cond[SERIES][seen], data[seen])
    assert (mask.sum((1, 2)) > 0).float().mean() > 0.95


@pytest.mark.parametrize("predict", ["noise", "v"])
@pytest.mark.parametrize("name", SMALL)
def test_what_is_learnt_is_what_the_network_says_of_what_was_hidden(name, predict):
    """‖ε - ε_θ‖² or ‖v - v_θ‖² with v = α ε - σ x_0, whatever of a window is not asked for."""
    system = made(name, predict=predict)
    x_0, cond, mask = system.learnt(windows(6, *SHAPE), Streams.of(3, 6))
    process, said, noise = system.denoiser.process, [], Streams.of(4, 6).normal(SHAPE)
    level = process.schedule.level(torch.tensor(0.6, dtype=torch.float64))
    alpha, sigma = level.alpha.float(), level.sigma.float()
    x_t = alpha * x_0.nan_to_num() + sigma * noise
    system.denoiser.network.register_forward_hook(lambda module, given, out: said.append(out))
    belief = system.denoiser(x_t, level.time, cond)
    loss = system.objective.judge(process, belief, x_0.nan_to_num(), x_t, level, mask)
    asked = noise if predict == "noise" else alpha * noise - sigma * x_0.nan_to_num()
    error = ((asked - said[0]) ** 2 * mask).sum((1, 2)) / mask.sum((1, 2))
    torch.testing.assert_close(loss.float(), error, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("hide", EVERY)
def test_a_tell_tale_among_the_hidden_values_changes_nothing_that_is_told(hide):
    record, system = windows(8, *SHAPE), made("csdi")
    system = replace(system, task=task(hide))
    _, cond, mask = system.learnt(record, Streams.of(3, 8))
    told = {**record, "series": torch.where(mask, 1e6, record["series"])}
    _, other, _ = system.learnt(told, Streams.of(3, 8))
    assert all(torch.equal(cond[key].nan_to_num(), other[key].nan_to_num()) for key in cond)
    request = {SERIES: record["series"].masked_fill(mask, torch.nan)}
    asked = system.request(8, request)[1]
    assert torch.equal(system.codec.told(asked)[SERIES].nan_to_num(), cond[SERIES].nan_to_num())


@pytest.mark.parametrize("hide", EVERY)
def test_what_is_hidden_of_a_window_does_not_depend_on_its_batch(hide):
    record, rng = windows(10, *SHAPE), Streams.of(3, 10)
    whole = task(hide).example(record, rng).mask
    parts = [
        task(hide).example({k: v[p] for k, v in record.items()}, rng[p]).mask
        for p in (slice(0, 3), slice(3, 10))
    ]
    assert torch.equal(torch.cat(parts), whole)


def test_scattered_hides_a_share_of_the_known_values_evenly_from_none_to_all():
    known = ~windows(COUNT, *SHAPE)["series"].isnan()
    mask = scattered(known, Streams.of(2, COUNT))
    share = mask.sum((1, 2)) / known.sum((1, 2))
    places = torch.linspace(0.1, 0.9, 9)
    below = (share.unsqueeze(1) <= places).float().mean(0)
    assert torch.allclose(below, places, atol=4 * 0.5 / COUNT**0.5 + 0.01)
    each = mask.float().sum(0) / known.float().sum(0)
    assert torch.allclose(each, torch.full_like(each, 0.5), atol=0.05)  # anywhere alike


def test_gaps_are_hidden_as_the_window_itself_has_them():
    """Moved along the window: channel by channel as many are missing as there."""
    missing = torch.zeros(50, *SHAPE, dtype=torch.bool)
    missing[:, 0, 3:8], missing[:, 2, 5:7] = True, True
    mask = as_missing(~missing, Streams.of(2, 50))
    for hidden, gaps in zip(mask, missing, strict=True):
        moved = [gaps.roll(-shift, 1) & ~gaps for shift in range(1, SHAPE[1])]
        assert any(torch.equal(hidden, option) for option in moved)
    whole = torch.ones(50, *SHAPE, dtype=torch.bool)
    assert torch.equal(
        as_missing(whole, Streams.of(2, 50)), scattered(whole, Streams.of(2, 50, 0).next())
    )


def test_blackouts_are_of_all_channels_and_stretches_each_channels_own():
    known = torch.ones(300, *SHAPE, dtype=torch.bool)
    rng = Streams.of(2, 300)
    for mask in (blackout(known, rng), stretches(known, rng)):
        runs = (mask.int().diff(dim=2, prepend=torch.zeros(300, 3, 1).int()) == 1).sum(2)
        assert (runs == 1).all()  # one stretch of each channel
        lengths = mask.sum(2)
        assert torch.equal(lengths.amin(1), lengths.amax(1))
        assert (lengths[:, 0].min(), lengths[:, 0].max()) == (1, SHAPE[1])
    shared = blackout(known, rng)
    assert torch.equal(shared, shared[:, :1].expand_as(shared))
    assert not torch.equal(mask, mask[:, :1].expand_as(mask))


def test_a_forecast_hides_the_horizon_and_nothing_else():
    mask = task("forecast").example(windows(5, *SHAPE, missing=0.0), Streams.of(0, 5)).mask
    assert mask[..., -5:].all()
    assert not mask[..., :-5].any()
    assert Impute.of(SHAPE, horizon=5).hide == "forecast"
    assert Impute.of(SHAPE).hide == "mix"
    for horizon in (0, 20):
        with pytest.raises(UserError, match=f"horizon={horizon}: .* expects 1 to 19"):
            Impute(SHAPE, hide="forecast", horizon=horizon)


# -- the loss and the network ----------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_missing_data_never_enter_the_loss(name):
    """What stands in their place does not matter: not one bit of the loss, nor of its gradient."""
    system, record = made(name), windows(6, *SHAPE)
    x_0, cond, mask = system.learnt(record, Streams.of(3, 6))
    gaps = record["series"].isnan()
    assert (x_0[gaps] == 0.0).all()
    x_0.requires_grad_()
    loss = system.objective(system.denoiser, x_0, Streams.of(4, 6), cond, mask)
    assert loss.isfinite().all()
    noise = loss.sum()
    (slope,) = torch.autograd.grad(noise, x_0)
    assert (slope[mask].abs() > 0).any()
    belief = system.denoiser(torch.randn(6, *SHAPE), 0.5, cond).mean
    assert belief.isfinite().all()


@pytest.mark.parametrize("name", SMALL)
def test_what_is_known_enters_clean_and_not_as_the_walk_has_it(name):
    """G8: neither the noise in the state where it is known, nor its level, reaches the answer."""
    system, record = made(name), windows(4, *SHAPE)
    _, cond, _ = system.learnt(record, Streams.of(3, 4))
    seen, x = ~cond[SERIES].isnan(), torch.randn(4, *SHAPE)
    network, clock = system.denoiser.network, torch.full((4,), 7.0)
    answer = network(x, clock, cond)
    other = network(torch.where(seen, 100.0 * torch.randn(4, *SHAPE), x), clock, cond)
    assert torch.equal(answer, other)
    assert (answer[seen] == 0.0).all()
    assert (network(x + 1.0, clock, cond)[~seen] != answer[~seen]).all()


@pytest.mark.parametrize("name", SMALL)
def test_every_weight_is_taught(name):
    """One that is not would hold up processes that share gradients."""
    system, record = made(name), windows(6, *SHAPE)
    x_0, cond, mask = system.learnt(record, Streams.of(3, 6))
    system.objective(system.denoiser, x_0, Streams.of(4, 6), cond, mask).sum().backward()
    assert all(weight.grad is not None for weight in system.denoiser.parameters())


def test_channels_in_another_order_are_answered_in_that_order():
    network, order = made("csdi").denoiser.network, [2, 0, 1]
    _, cond, _ = made("csdi").learnt(windows(4, *SHAPE), Streams.of(3, 4))
    x, clock = torch.randn(4, *SHAPE), torch.full((4,), 7.0)
    answer = network(x, clock, cond)
    network.names.data = network.names.data[order]
    again = network(x[:, order], clock, {**cond, SERIES: cond[SERIES][:, order]})
    torch.testing.assert_close(again, answer[:, order], rtol=1e-4, atol=1e-5)


def test_csdi_knows_when_and_both_know_covariates():
    _, cond, _ = made("csdi").learnt(windows(4, *SHAPE), Streams.of(3, 4))
    x, clock = torch.randn(4, *SHAPE), torch.full((4,), 7.0)
    extra = torch.randn(4, 2, SHAPE[1])
    for network in (TwoAxis(3, 8, 1, 2, features=2), Structured(3, 8, 1, 8, features=2)):
        torch.nn.init.normal_(network.head.weight)
        network.eval()
        answer = network(x, clock, {**cond, "covariates": extra})
        other = network(x, clock, {**cond, "covariates": extra + 1.0})
        assert not torch.allclose(answer, other)
        later = network(x, clock, {**cond, "covariates": extra, "time": 3.0 * cond["time"]})
        assert torch.allclose(answer, later) == isinstance(network, Structured)


@pytest.mark.parametrize("name", SMALL)
def test_windows_of_another_length_than_the_trained_are_answered(name):
    system = made(name)
    longer = windows(2, 3, 33)["series"]
    assert system.sample(4, cond=longer, grid=2, seed=0).shape == (4, 3, 33)


# -- what comes back -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_what_is_known_comes_back_to_the_last_bit(name):
    given = windows(3, *SHAPE)["series"]
    drawn = made(name).sample(6, cond=given, grid=3, seed=2)
    for number, answer in enumerate(drawn):  # the windows in turn
        known = ~given[number % 3].isnan()
        assert torch.equal(answer[known], given[number % 3][known])
        assert answer.isfinite().all()


def test_a_request_that_does_not_fit_is_one_sentence():
    system = made("csdi")
    for cond, words in (
        (None, "give it one, by its verb"),
        (torch.zeros(1, 2, 20), r"\(window, 3, length\), got torch.float32 of \(1, 2, 20\)"),
        (torch.zeros(3, 20), r"got torch.float32 of \(3, 20\)"),
    ):
        with pytest.raises(UserError, match=words):
            system.sample(1, cond=cond)
    told = made("csdi", features=2)
    with pytest.raises(UserError, match=r"covariates \(1, 2, 20\) .* got \(1, 0, 20\)"):
        told.sample(1, cond=torch.zeros(1, *SHAPE))


def test_channels_are_measured_by_themselves_where_they_have_values():
    record = windows(500, *SHAPE)["series"]
    codec = PerChannel(3).fit(record.split(70))
    known = [channel[~channel.isnan()].double() for channel in record.unbind(1)]
    assert codec.mean.tolist() == pytest.approx([k.mean().item() for k in known], rel=1e-12)
    spreads = [k.std(correction=0).item() for k in known]
    assert codec.deviation.tolist() == pytest.approx(spreads, rel=1e-9)
    still = torch.cat((record[:, :2], torch.full_like(record[:, 2:], 7.0)), 1)
    codec.fit([still])
    assert (codec.mean[2].item(), codec.deviation[2].item()) == (7.0, 1.0)


def test_covariates_are_told_in_units_of_their_own_deviation():
    extra = 1e4 + 30.0 * Streams.of(3, 200).normal((2, 20))
    record = {**windows(200, *SHAPE), "covariates": extra, "static": torch.full((200, 1), 3.0)}
    system = made("csdi", features=3)
    examples = [system.task.example(record, Streams.of(0, 200))]
    system.codec.fit_told(one.cond for one in examples)
    told = system.learnt(record, Streams.of(0, 200))[1]["covariates"]
    assert told.shape == (200, 3, 20)
    assert told[:, :2].mean((0, 2)).tolist() == pytest.approx([0.0, 0.0], abs=1e-4)
    assert told[:, :2].std((0, 2)).tolist() == pytest.approx([1.0, 1.0], abs=1e-3)
    assert (told[:, 2] == 0.0).all()  # a fact that never varies


# -- the exact answer ------------------------------------------------------------------------------


def posterior(covariance, given):
    """The law of what is NaN of a draw of N(0, K), given the rest."""
    seen, eye = ~given.isnan(), torch.eye(len(given), dtype=torch.float64)
    data = FullGaussian(torch.zeros(len(given), dtype=torch.float64), covariance)
    law = LinearGaussian(data, eye[seen], 0.0).given(given[None, seen].double())
    return FullGaussian(law.mean[:, ~seen], law.covariance[~seen][:, ~seen])


class ExactProcess(Denoiser):
    """The belief about draws of N(0, K) by who knows K, and is told what is known of them."""

    def __init__(self, process, covariance):
        super().__init__()
        self.process, self.network = process, torch.nn.Identity()
        self.register_parameter("covariance", torch.nn.Parameter(covariance, requires_grad=False))

    def forward(self, x_t, t, cond=None):
        level, given = self.process.schedule.level(t), cond[SERIES][0].flatten()
        belief = posterior(self.covariance, given)
        answer, hidden = torch.zeros_like(x_t).flatten(1), given.isnan()
        answer[:, hidden] = belief.posterior(x_t.double().flatten(1)[:, hidden], level).mean.to(x_t)
        return Gaussian(answer.reshape(x_t.shape))


def covariance():
    """Two channels of six stamps: a Gaussian in time, times 0.6 between the channels."""
    time = torch.arange(6, dtype=torch.float64)
    along = (-0.5 * ((time - time[:, None]) / 1.5) ** 2).exp() + 0.05 * torch.eye(6)
    across = torch.tensor([[1.0, 0.6], [0.6, 1.0]], dtype=torch.float64)
    return torch.kron(across, along)


def test_with_an_exact_belief_the_answers_have_the_exact_mean_and_covariance():
    """O11, O16: a Gaussian process given some of its values, over CSDI's own chain. The walk is of
    high order: that of the paper, of first order, leaves about 15 % of the variance out in 50 steps
    even so."""
    kernel, scale, count = covariance(), torch.tensor([[2.0], [0.5]]), 20_000
    shift = torch.tensor([[30.0], [-4.0]])
    system = systems.csdi((2, 6), **SMALL["csdi"])
    codec = system.codec
    codec.mean.copy_(shift[:, 0])
    codec.deviation.copy_(scale[:, 0])
    system = replace(system, denoiser=ExactProcess(system.denoiser.process, kernel))
    root = torch.linalg.cholesky(kernel)
    truth = (root @ Streams.of(8, 1).normal((12,), torch.float64)[0]).reshape(2, 6).float()
    window = (shift + scale * truth).masked_fill(
        torch.tensor([[0, 0, 1, 1, 0, 1], [1, 0, 1, 0, 0, 1]]).bool(), torch.nan
    )
    drawn = system.sample(count, window[None], Multistep(), seed=3, batch=count).double()
    seen = ~window.isnan()
    assert torch.equal(drawn[:, seen].float(), window[seen].expand(count, -1))
    told = ((drawn - shift) / scale).flatten(1)
    known = (window.double() - shift) / scale
    law, found = posterior(kernel, known.flatten()), told[:, ~seen.flatten()]
    deviation = law.covariance.diagonal().sqrt()
    assert ((found.mean(0) - law.mean).abs() < 0.05 * deviation).all()
    whole = torch.outer(deviation, deviation)
    assert ((found.T.cov() - law.covariance).abs() < 0.05 * whole).all()


def test_attention_along_time_looks_near_its_own_stamp_first():
    """Where all places are alike, head h weighs them by a Gaussian of 2^h stamps in real time."""
    layer = Encoder(8, 2, 8, 0.0, timed=True)
    time = torch.tensor([[0.0, 0.5, 3.0, 7.25, 7.5]]).double()
    alike = torch.ones(1, 2, 4, 5).double()
    query, key = layer.double()._near(alike, alike, time)
    weights = attend(query, key, torch.eye(5).double().expand(1, 2, 5, 5))
    reach = torch.tensor([1.0, 2.0]).double().reshape(1, 2, 1, 1)
    law = (-((time[:, None, :, None] - time[:, None, None]) ** 2) / (2.0 * reach**2)).softmax(-2)
    torch.testing.assert_close(weights, law, atol=1e-6, rtol=0.0)
    x = torch.randn(1, 1, 5, 8).double()
    torch.testing.assert_close(layer(x, time), layer(x, time + 1000.0))

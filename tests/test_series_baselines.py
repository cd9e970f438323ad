"""Baselines of series where the answer is known: lines, seasons, Gaussian processes, VAR."""

import numpy as np
import pytest
import torch

from hush.errors import UserError
from hush.evaluation.autoregression import Autoregression, fit_autoregression
from hush.evaluation.forecasts import fair_crps
from hush.evaluation.gaussian_process import gaussian_process, gaussian_process_posterior
from hush.evaluation.naive import last_value, linear_interpolation, seasonal_naive
from hush.evaluation.smoothing import arima, ets

NAN = torch.nan
A = torch.tensor([[0.7, 0.2], [-0.3, 0.5]], dtype=torch.float64)
B = torch.tensor([[0.1, -0.1], [0.0, 0.2]], dtype=torch.float64)
Q = torch.tensor([[1.0, 0.4], [0.4, 0.5]], dtype=torch.float64)
SHIFT = torch.tensor([0.3, -0.2], dtype=torch.float64)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def holes(values, share, seed=0):
    """The values, each hidden with a chance."""
    dice = torch.rand(values.shape, generator=torch.Generator().manual_seed(seed))
    return torch.where(dice < share, NAN, values)


# without a model


def test_last_value_looks_back_and_then_ahead():
    values = torch.tensor([[[NAN, NAN, 2, NAN, 5, NAN], [NAN] * 6], [[NAN] * 5 + [1], [4.0] * 6]])
    told = last_value(values)[:, 0]
    assert told[0].tolist() == [[2, 2, 2, 2, 5, 5], [4] * 6]
    assert told[1].tolist() == [[1] * 6, [4] * 6]


def test_linear_is_exact_on_lines_whatever_the_stamps():
    time = normal(6, 30).exp().cumsum(1)
    slopes = normal(6, 2, 1, seed=1)
    truth = slopes * time.unsqueeze(1) - 3
    hidden = holes(truth, 0.6)
    hidden[..., [0, -1]] = truth[..., [0, -1]]
    torch.testing.assert_close(linear_interpolation(hidden, time)[:, 0], truth)
    hidden[..., :3] = hidden[..., 27:] = NAN
    told = linear_interpolation(hidden, time)[0, 0, 0]
    known = (~hidden[0, 0].isnan()).nonzero().flatten()
    assert told[0] == truth[0, 0, known[0]]
    assert told[-1] == truth[0, 0, known[-1]]


def test_seasonal_naive_is_exact_on_seasons():
    season = normal(4, 2, 7)
    truth = season.repeat(1, 1, 5)[..., :31]
    future = truth.clone()
    future[..., 14:] = NAN
    assert torch.equal(seasonal_naive(future, 7)[:, 0], truth)
    hidden = holes(truth, 0.5)
    hidden[..., 7:14] = truth[..., 7:14]
    assert torch.equal(seasonal_naive(hidden, 7)[:, 0], truth)
    once = torch.full((1, 1, 6), NAN)
    once[..., 1] = 3.0
    assert seasonal_naive(once, 4).tolist() == [[[[3.0] * 6]]]


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_what_is_known_comes_back_as_it_is(share):
    values = holes(normal(3, 2, 20), share)
    time = torch.arange(20.0).expand(3, -1).double()
    answers = [last_value(values), linear_interpolation(values, time), seasonal_naive(values, 5)]
    answers += [gaussian_process(values, time, kernel, 6.0, samples=4) for kernel in ("rbf",)]
    known = ~values.isnan()
    for answer in answers:
        assert answer.isfinite().all()
        for sample in answer.unbind(1):
            assert torch.equal(sample[known], values[known])


# Gaussian processes


def kernel():
    from sklearn.gaussian_process import kernels

    return 1.7 * kernels.Matern(4.0, nu=1.5) + kernels.WhiteKernel(0.05)


def drawn(count, length=24, seed=0):
    """Draws of the process, with its noise, at uneven stamps."""
    time = 0.5 * torch.arange(length).double() + 0.3 * normal(length, seed=5).sigmoid()
    covariance = torch.from_numpy(kernel()(time.numpy()[:, None]))
    root = torch.linalg.cholesky(covariance)
    return (normal(count, length, seed=seed) @ root.T).unsqueeze(1), time.expand(count, -1)


def told_exactly(points, values, seen):
    covariance = torch.from_numpy(kernel()(points, points))
    return gaussian_process_posterior(covariance, values, seen, noise=0.05)


def test_the_posterior_is_that_of_the_joint_gaussian_and_of_scikit_learn():
    """Given the rest, a Gaussian of precision P has covariance P_hh⁻¹ and mean -P_hh⁻¹ P_ho y."""
    from sklearn.gaussian_process import GaussianProcessRegressor

    values, time = drawn(1)
    seen = torch.arange(24) % 3 == 0
    points = time[0].numpy()[:, None]
    smooth = torch.from_numpy(kernel()(points, points))
    mean, covariance = told_exactly(points, values[0, 0], seen)
    joint = torch.linalg.inv(smooth + 0.05 * torch.eye(24, dtype=torch.float64))
    inner = torch.linalg.inv(joint[~seen][:, ~seen])
    torch.testing.assert_close(mean[~seen], -inner @ joint[~seen][:, seen] @ values[0, 0, seen])
    noisy = covariance[~seen][:, ~seen] + 0.05 * torch.eye(16, dtype=torch.float64)
    torch.testing.assert_close(noisy, inner)
    peer = GaussianProcessRegressor(kernel(), optimizer=None).fit(points[seen], values[0, 0, seen])
    theirs, spread = peer.predict(points, return_cov=True)
    torch.testing.assert_close(mean, torch.from_numpy(theirs))
    spread = torch.from_numpy(spread) - 0.05 * torch.eye(24, dtype=torch.float64)
    torch.testing.assert_close(covariance, spread, atol=1e-7, rtol=1e-6)


def test_with_the_true_kernel_the_baseline_draws_the_exact_posterior():
    values, time = drawn(1)
    seen = torch.arange(24) % 3 == 0
    hidden = torch.where(seen, values, NAN)
    count = 40_000
    told = gaussian_process(hidden, time, kernel(), samples=count)[0, :, 0, ~seen]
    points = time[0].numpy()[:, None]
    mean, law = told_exactly(points, values[0, 0], seen)
    law = law[~seen][:, ~seen] + 0.05 * torch.eye(16, dtype=torch.float64)
    deviation = law.diagonal().sqrt()
    off = (told.mean(0) - mean[~seen]) / deviation * count**0.5
    assert off.abs().max() < 4.5
    scaled = (told.T.cov() - law) / torch.outer(deviation, deviation)
    assert scaled.abs().max() < 5 * (2 / count) ** 0.5


def test_the_exact_posterior_scores_what_theory_says_and_a_fitted_one_little_more():
    """Told exactly, y is a draw of its own law: E CRPS = deviation/√π."""
    values, time = drawn(30)
    seen = torch.arange(24) % 2 == 0
    hidden = torch.where(seen, values, NAN)
    points = time[0].numpy()[:, None]
    _, law = told_exactly(points, values[0, 0], seen)
    wanted = ((law.diagonal() + 0.05).sqrt()[~seen] / np.pi**0.5).mean().item()
    mask = (~seen).expand(values.shape)
    exact = fair_crps(gaussian_process(hidden, time, kernel()), values, mask)
    low, high = exact.interval()
    assert low < wanted < high
    assert exact.value == pytest.approx(wanted, rel=0.1)
    fitted = fair_crps(gaussian_process(hidden, time, "matern"), values, mask)
    assert exact.value < fitted.value < 1.25 * exact.value
    straight = fair_crps(linear_interpolation(hidden, time).expand(-1, 2, -1, -1), values, mask)
    assert exact.value < straight.value


# forecasts


def test_the_future_of_one_lag_is_the_closed_form():
    law = Autoregression(torch.zeros(2).double(), A.unsqueeze(0), Q)
    x = normal(3, 2, 5)
    mean, covariance = law.predictive(x, 6)
    for step in range(1, 7):
        power = torch.linalg.matrix_power(A, step)
        torch.testing.assert_close(mean[..., step - 1], x[..., -1] @ power.T)
        powers = [torch.linalg.matrix_power(A, i) for i in range(step)]
        torch.testing.assert_close(covariance[step - 1], sum(p @ Q @ p.T for p in powers))


def simulated(count, seed=0):
    states, noise = [torch.zeros(2).double()] * 2, normal(count, 2, seed=seed)
    root = torch.linalg.cholesky(Q)
    for i in range(count):
        states.append(SHIFT + A @ states[-1] + B @ states[-2] + root @ noise[i])
    return torch.stack(states[2:], 1)


def test_autoregressions_are_those_of_statsmodels():
    from statsmodels.tsa.api import VAR

    past = simulated(300)
    ours, theirs = fit_autoregression(past, 2), VAR(past.T.numpy()).fit(2)
    torch.testing.assert_close(ours.intercept, torch.from_numpy(theirs.intercept))
    torch.testing.assert_close(ours.coefficients, torch.from_numpy(theirs.coefs.copy()))
    torch.testing.assert_close(ours.covariance, torch.from_numpy(theirs.sigma_u))
    mean, covariance = ours.predictive(past, 5)
    forecast = theirs.forecast(past.T.numpy()[-2:], 5).T
    torch.testing.assert_close(mean, torch.from_numpy(forecast.copy()))
    torch.testing.assert_close(covariance, torch.from_numpy(theirs.mse(5)))


def test_samples_of_an_autoregression_have_its_law():
    law = Autoregression(SHIFT, torch.stack([A, B]), Q)
    values = simulated(10).unsqueeze(0).clone()
    mean, covariance = law.predictive(values[..., :7], 3)
    values[..., 7:] = NAN
    count = 40_000
    told = law.samples(values, 3, count)
    assert torch.equal(told[0, 0, :, :7], values[0, :, :7])
    for step in range(3):
        found = told[0, :, :, 7 + step]
        deviation = covariance[step].diagonal().sqrt()
        assert ((found.mean(0) - mean[0, :, step]) / deviation).abs().max() < 4.5 / count**0.5
        off = (found.T.cov() - covariance[step]) / torch.outer(deviation, deviation)
        assert off.abs().max() < 5 * (2 / count) ** 0.5


def test_arima_of_a_random_walk_spreads_as_its_root():
    walk = normal(1, 1, 200, seed=3).cumsum(-1)
    told = arima(walk, 9, order=(0, 1, 0), samples=4000)
    future = told[0, :, 0, 191:]
    step = walk[0, 0, :191].diff().square().mean().sqrt()
    wanted = step * torch.arange(1, 10).double().sqrt()
    torch.testing.assert_close(future.std(0), wanted, rtol=0.06, atol=0)
    assert ((future.mean(0) - walk[0, 0, 190]) / wanted).abs().max() < 4.5 / 4000**0.5
    assert torch.equal(told[0, 0, :, :191], walk[0, :, :191])


def test_exponential_smoothing_goes_on_with_season():
    season = torch.tensor([3.0, -1.0, 0.5, -2.5]).double().repeat(9)
    values = (10 + season + 0.01 * normal(36)).reshape(1, 1, -1)
    told = ets(values, 8, period=4, samples=50)
    assert told.shape == (1, 50, 1, 36)
    torch.testing.assert_close(told[0, :, 0, 28:].mean(0), 10 + season[28:], atol=0.1, rtol=0)


def test_the_future_is_never_looked_at():
    values = simulated(40).unsqueeze(0)
    other = values.clone()
    other[..., 34:] = 1e6
    law = Autoregression(SHIFT, torch.stack([A, B]), Q)
    for told in (
        lambda x: ets(x, 6, samples=3),
        lambda x: arima(x, 6, samples=3),
        lambda x: law.samples(x, 6, 3),
    ):
        assert torch.equal(told(values), told(other))


def test_what_cannot_be_told_is_said():
    values = simulated(10).unsqueeze(0)
    time = torch.arange(10.0).unsqueeze(0).double()
    cases = [
        (lambda: seasonal_naive(values, 0), "period=0"),
        (lambda: gaussian_process(values, time, "mattern"), "did you mean matern"),
        (lambda: ets(values, 4, period=12), "context of at least 24"),
        (lambda: arima(values, 9), "leaves 1 of 10 stamps"),
        (lambda: fit_autoregression(values[0], 4), "lags of at least 1 and then 14 stamps"),
        (lambda: Autoregression(SHIFT, torch.stack([A, B]), Q).samples(values, 9), "the lags"),
    ]
    for call, said in cases:
        with pytest.raises(UserError, match=said):
            call()

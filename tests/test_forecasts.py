"""Scores of told laws against closed forms: exact values, propriety, invariance, calibration."""

import math
from itertools import permutations, product

import pytest
import torch

from hush.errors import UserError
from hush.evaluation.calibration import (
    calibration,
    calibration_plot,
    coverage,
    interval_width,
    ranks,
)
from hush.evaluation.forecasts import (
    LEVELS,
    Score,
    crps,
    crps_sum,
    csdi_crps,
    fair_crps,
    gaussian_crps,
    mae,
    normalised_crps,
    pinball,
    quantile_crps,
    rmse,
    sample_crps,
)
from hush.evaluation.quantiles import quantiles, usual_quantiles

LEVEL = torch.tensor(LEVELS, dtype=torch.float64)
LOSSES = (crps, fair_crps, quantile_crps, mae, rmse, interval_width)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def even(count):
    """The quantiles of a unit Gaussian at the middles of `count` even steps."""
    return torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)


def told(windows=5, samples=40, channels=3, length=7, seed=0):
    truth = normal(windows, channels, length, seed=seed)
    mask = normal(windows, channels, length, seed=seed + 1) > -0.3
    return 0.3 + 1.4 * normal(windows, samples, channels, length, seed=seed + 2), truth, mask


# exact values


def test_a_unit_gaussian_at_four_tenths():
    zero, one, y = torch.tensor([0.0, 1.0, 0.4], dtype=torch.float64)
    assert gaussian_crps(zero, one, y).item() == pytest.approx(0.296688, abs=5e-7)
    nineteen = pinball(torch.special.ndtri(LEVEL), y, LEVEL).mean().item()
    assert nineteen == pytest.approx(0.309624, abs=5e-7)
    samples, truth = even(200_001).reshape(1, -1, 1, 1), y.reshape(1, 1, 1)
    assert crps(samples, truth).value == pytest.approx(0.296688, abs=5e-6)
    assert fair_crps(samples, truth).value == pytest.approx(0.296688, abs=5e-6)
    assert quantile_crps(samples, truth).value == pytest.approx(0.309624, abs=5e-6)


def test_all_levels_of_the_pinball_loss_are_the_crps():
    levels = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    y = torch.tensor([-1.3, 0.0, 0.4, 2.5], dtype=torch.float64)
    quantile = torch.special.ndtri(levels).unsqueeze(1).expand(-1, 4)
    found = pinball(quantile, y, levels).mean(0)
    wanted = gaussian_crps(torch.zeros_like(y), torch.ones_like(y), y)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("fair", [False, True])
def test_sorting_is_the_sum_over_pairs(fair):
    samples, truth, _ = told(samples=9)
    count = samples.shape[1]
    apart = (samples.unsqueeze(1) - samples.unsqueeze(2)).abs().sum((1, 2))
    near = (samples - truth.unsqueeze(1)).abs().mean(1)
    wanted = near - apart / (2 * count * (count - fair))
    torch.testing.assert_close(sample_crps(samples, truth, fair), wanted)


def test_of_a_point_every_crps_is_the_mean_absolute_error():
    samples, truth, mask = told(samples=1)
    error = mae(samples, truth, mask).value
    for score in (crps, quantile_crps):
        assert score(samples, truth, mask).value == pytest.approx(error, rel=1e-12)
    repeated = samples.expand(-1, 5, -1, -1)
    assert fair_crps(repeated, truth, mask).value == pytest.approx(error, rel=1e-12)
    assert error == pytest.approx((samples[:, 0] - truth)[mask].abs().mean().item())
    squared = (samples[:, 0] - truth)[mask].square().mean().sqrt().item()
    assert rmse(samples, truth, mask).value == pytest.approx(squared)


def test_csdi_reports_what_its_own_code_does():
    samples, truth, mask = told(samples=100)
    target, points, total = truth, mask.double(), 0.0
    for level in LEVELS:
        q = torch.quantile(samples, level, dim=1)
        loss = 2 * (((q - target) * points * ((target <= q) * 1.0 - level)).abs()).sum()
        total += loss / (target * points).abs().sum()
    assert csdi_crps(samples, truth, mask).value == pytest.approx(float(total) / 19, rel=1e-7)


def test_the_sum_is_scored_where_all_channels_are():
    samples, truth, mask = told()
    whole = mask.all(1)
    near = (samples.sum(2) - truth.sum(1).unsqueeze(1)).abs().mean(1)
    apart = (samples.sum(2).unsqueeze(1) - samples.sum(2).unsqueeze(2)).abs().mean((1, 2))
    wanted = (near - apart / 2)[whole].mean().item()
    assert crps_sum(samples, truth, mask).value == pytest.approx(wanted)


# laws


def test_fair_is_the_score_of_the_law_in_expectation_and_plain_is_not():
    """All 27 triples of draws from an even law on {0, 1, 4}: their mean is exact."""
    points, y = (0.0, 1.0, 4.0), 1.5
    every = torch.tensor(list(product(points, repeat=3)), dtype=torch.float64)
    samples, truth = every.reshape(27, 3, 1, 1), torch.full((27, 1, 1), y).double()
    near = sum(abs(x - y) for x in points) / 3
    apart = sum(abs(a - b) for a in points for b in points) / 9
    assert fair_crps(samples, truth).value == pytest.approx(near - apart / 2, rel=1e-12)
    assert crps(samples, truth).value == pytest.approx(near - apart / 2 * 2 / 3, rel=1e-12)


def test_the_true_law_scores_best():
    """E_y CRPS(N(m, s²), y) for y ~ N(0, 1) is √(2/π) r e^(-m²/2r²) + m erf(m/(r√2)) - s/√π with
    r² = 1 + s², whose least value is 1/√π at m = 0, s = 1."""
    y = even(20_000)
    for m, s in product((-0.5, 0.0, 0.2), (0.7, 1.0, 1.5)):
        mean, deviation = torch.full_like(y, m), torch.full_like(y, s)
        found = gaussian_crps(mean, deviation, y).mean().item()
        r = math.sqrt(1 + s * s)
        wanted = math.sqrt(2 / math.pi) * r * math.exp(-m * m / (2 * r * r))
        wanted += m * math.erf(m / (r * math.sqrt(2))) - s / math.sqrt(math.pi)
        assert found == pytest.approx(wanted, abs=1e-4)
        best = 1 / math.sqrt(math.pi)
        assert found > best + 1e-3 or (m, s) == (0.0, 1.0)
    assert gaussian_crps(0 * y, 0 * y + 1, y).mean().item() == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("score", LOSSES)
def test_a_shift_changes_nothing_and_a_scale_scales(score):
    samples, truth, mask = told()
    usual = score(samples, truth, mask).value
    assert score(samples + 1e6, truth + 1e6, mask).value == pytest.approx(usual, rel=1e-7)
    assert score(7 * samples, 7 * truth, mask).value == pytest.approx(7 * usual, rel=1e-12)
    mirrored = score(-samples, -truth, mask).value
    assert mirrored == pytest.approx(usual, rel=1e-12)


@pytest.mark.parametrize("score", [csdi_crps, normalised_crps])
def test_normalised_scores_have_no_unit(score):
    samples, truth, mask = told()
    usual = score(samples, truth, mask).value
    assert score(7 * samples, 7 * truth, mask).value == pytest.approx(usual, rel=1e-12)


@pytest.mark.parametrize("score", [*LOSSES, coverage, csdi_crps, normalised_crps])
def test_what_is_not_scored_changes_nothing(score):
    samples, truth, mask = told()
    usual = score(samples, truth, mask)
    hidden = truth.where(mask, math.nan)
    spoilt = samples.where(mask.unsqueeze(1), math.inf)
    for other in (score(spoilt, hidden, mask), score(spoilt, hidden)):
        assert torch.equal(other.total, usual.total)
        assert torch.equal(other.weight, usual.weight)


def test_a_score_is_the_mean_of_entries_not_of_windows():
    truth = torch.zeros(2, 1, 3, dtype=torch.float64)
    samples = torch.tensor([[1.0, 1.0, 1.0], [5.0, 0.0, 0.0]]).double().reshape(2, 1, 1, 3)
    mask = torch.tensor([[True] * 3, [True, False, False]]).reshape(2, 1, 3)
    assert mae(samples, truth, mask).value == 2.0
    assert math.isnan(mae(samples, truth, torch.zeros_like(mask)).value)


def test_the_interval_is_that_of_a_mean():
    truth = normal(400, 1, 1)
    score = mae(torch.zeros(400, 1, 1, 1).double(), truth)
    low, high = score.interval()
    error = truth.abs().std().item() / 20
    assert low == pytest.approx(score.value - 1.96 * error, abs=0.3 * error)
    assert high == pytest.approx(score.value + 1.96 * error, abs=0.3 * error)
    same = Score(score.total - score.total, score.weight)
    assert same.interval() == (0.0, 0.0)


# calibration


def every_order(count):
    """All orders of `count` + 1 exchangeable numbers: the truth and its samples."""
    every = torch.tensor(list(permutations(range(count + 1))), dtype=torch.float64)
    return every[:, 1:].reshape(-1, count, 1, 1), every[:, :1].reshape(-1, 1, 1)


def test_quantiles_hold_what_they_say_of_another_draw():
    samples, truth = every_order(4)
    for k in range(1, 5):
        share = (truth <= quantiles(samples, [k / 5])[0]).double().mean().item()
        assert share == pytest.approx(k / 5)
    curve = calibration(samples, truth, levels=(0.2, 0.4, 0.6, 0.8))
    assert curve.shares == pytest.approx((0.2, 0.4, 0.6, 0.8))
    values, counts = ranks(samples, truth).unique(return_counts=True)
    assert values.tolist() == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
    assert counts.tolist() == [24] * 5


def test_usual_quantiles_are_those_of_torch():
    samples, _, _ = told()
    wanted = torch.quantile(samples, LEVEL, dim=1)
    torch.testing.assert_close(usual_quantiles(samples, LEVELS), wanted)


def test_coverage_is_exact_for_exchangeable_draws():
    values = normal(20).sort().values
    orders = torch.stack([values.roll(i) for i in range(20)])
    samples, truth = orders[:, 1:].reshape(20, 19, 1, 1), orders[:, :1].reshape(20, 1, 1)
    assert coverage(samples, truth).value == pytest.approx(0.9)
    assert coverage(samples, truth, level=0.5).value == pytest.approx(0.5)


def test_the_width_of_a_gaussian():
    samples = even(99_999).reshape(1, -1, 1, 1)
    found = interval_width(3 * samples, torch.zeros(1, 1, 1).double()).value
    assert found == pytest.approx(2 * 3 * 1.6448536, rel=1e-4)


def test_the_curve_is_drawn(tmp_path):
    samples, truth, mask = told()
    curve = calibration(samples, truth, mask)
    figure = calibration_plot({"told": curve}, tmp_path / "curve.png")
    line = figure.axes[0].get_lines()[1]
    assert line.get_xydata().tolist() == [list(p) for p in zip(LEVELS, curve.shares, strict=True)]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_scored_is_said():
    samples, truth, _ = told()
    cases = [
        (lambda: fair_crps(samples[:, :1], truth), "got 1 sample of each window"),
        (lambda: crps(samples, truth[:, :1]), r"truth and mask of \(5, 1, 7\)"),
        (lambda: crps(samples / 0.0 * 0.0, truth), "samples that are not finite at .* 105 entries"),
        (lambda: coverage(samples[:, :18], truth), "expected 19 or more"),
        (lambda: interval_width(samples, truth, level=1.0), "expected a share between 0 and 1"),
    ]
    for call, said in cases:
        with pytest.raises(UserError, match=said):
            call()

"""Series made whole: what is known stays, what is told is its law, and nothing piles up."""

import gc
from dataclasses import replace

import numpy as np
import pandas
import pytest
import torch
from torch import nn
from windows import CHANNELS, table

from hush import systems
from hush.data import series
from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.evaluation.gaussian_process import gaussian_process_posterior
from hush.samplers import Multistep
from hush.tasks.impute import impute, spans, told

LENGTH = 12


class Exact(Denoiser):
    """The belief about what is hidden of a Gaussian process of one channel, given what is known.

    Of x_0 ~ N(m, C) given the known values, E[x_0 | x_t] = m + α C (α² C + σ² I)⁻¹ (x_t - α m).
    """

    def __init__(self, process, covariance):
        super().__init__()
        self.process, self.network = process, nn.Linear(1, 1)
        self.register_buffer("covariance", covariance)

    def forward(self, x_t, t, cond=None):
        level, values = self.process.schedule.level(t), cond["series"][0, 0]  # all are of one
        m, c = gaussian_process_posterior(
            self.covariance, values.nan_to_num(), ~values.isnan(), 1e-9
        )
        noised = level.alpha**2 * c + level.sigma**2 * torch.eye(len(c), dtype=c.dtype)
        gain = level.alpha * torch.linalg.solve(noised, c)
        mean = (m + (x_t.double() - level.alpha * m) @ gain).to(x_t)
        return Gaussian(mean, torch.zeros_like(mean))


class Blank(nn.Module):
    """A network that answers 0."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x, clock, cond=None):
        return torch.zeros_like(x)


def model(channels=CHANNELS, length=LENGTH, **settings):
    torch.manual_seed(3)
    small = {"width": 8, "depth": 1, "heads": 2, "chain": 8, **settings}
    system = systems.csdi((channels, length), **small)
    for parameter in system.denoiser.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return system


def blank(channels, length):
    system = model(channels, length, chain=2)
    system.denoiser.network = Blank()
    return system


def frame(stamps=60, channels=1, hidden=0.3, seed=0):
    random = np.random.default_rng(seed)
    values = random.standard_normal((stamps, channels)).cumsum(0)
    values[random.random(values.shape) < hidden] = np.nan
    stamped = pandas.date_range("2020-01-01", periods=stamps, freq="D")
    return pandas.DataFrame({"time": stamped, **dict(zip("abcdefgh", values.T, strict=False))})


# where windows lie


@pytest.mark.parametrize("stamps", [5, 12, 13, 18, 31, 200])
def test_every_missing_value_is_asked_about_once_and_where_a_window_knows_most(stamps):
    data = frame(stamps)
    data.loc[stamps // 2, "a"] = np.nan
    source = series(data, length=1)
    gaps = source.table.values.isnan().any(0)
    asked = torch.zeros(stamps, dtype=torch.int64)
    for _, window, part in spans(source, LENGTH):
        assert window.start <= part.start < part.stop <= window.stop <= stamps
        assert window.stop - window.start == min(LENGTH, stamps)
        assert gaps[part].any()
        asked[part] += 1
        if window.start > 0:
            assert part.start - window.start >= LENGTH // 4
        if window.stop < stamps:
            assert window.stop - part.stop >= LENGTH // 4
    assert (asked[gaps] == 1).all()
    assert asked.max() == 1


def test_a_window_never_reaches_into_another_series():
    one, two = frame(20, seed=1).assign(item="x"), frame(9, seed=2).assign(item="y")
    source = series(pandas.concat([one, two]), length=1, item="item")
    found = list(spans(source, LENGTH))
    assert {span.item for span in found} == {0, 1}
    bounds = source.table.bounds
    assert all(bounds[i] <= window.start and window.stop <= bounds[i + 1] for i, window, _ in found)


# what is told


def test_a_gaussian_process_is_filled_with_its_posterior():
    stamps, count = LENGTH, 600
    place = torch.arange(stamps, dtype=torch.float64)
    covariance = torch.exp(-0.5 * ((place - place.unsqueeze(1)) / 2.0) ** 2)
    covariance = covariance + 0.05 * torch.eye(stamps, dtype=torch.float64)
    draw = torch.linalg.cholesky(covariance) @ torch.randn(
        stamps, generator=torch.Generator().manual_seed(4), dtype=torch.float64
    )
    seen = torch.ones(stamps, dtype=torch.bool)
    seen[[1, 4, 5, 6, 10]] = False
    data = pandas.DataFrame({"time": range(stamps), "a": draw.masked_fill(~seen, np.nan).numpy()})
    system = model(1, stamps, chain=60)
    system = replace(system, denoiser=Exact(system.denoiser.process, covariance))
    wanted, spread = gaussian_process_posterior(covariance, draw, seen, 1e-9)
    source = series(data, length=1)
    answers = told(system, source, spans(source, stamps), count, 7, Multistep(), 40)
    (answer,) = list(answers)
    error = spread.diagonal()[~seen].sqrt() / count**0.5
    mean = answer.samples.double().mean(0)[0, ~seen]
    assert ((mean - wanted[~seen]).abs() < 4.0 * error).all()
    deviation = answer.samples.double().std(0)[0, ~seen]
    torch.testing.assert_close(deviation, spread.diagonal()[~seen].sqrt(), rtol=0.15, atol=0)
    whole = impute(system, data, samples=50, seed=7, sampler=Multistep(), grid=40)
    assert np.array_equal(whole["a"][seen.numpy()], data["a"][seen.numpy()])
    assert np.abs(whole["a"][~seen.numpy()] - wanted[~seen].numpy()).max() < 0.6


def test_the_samples_of_a_seed_are_the_same_in_whatever_batch():
    source = series(frame(50, CHANNELS), length=1)
    system = model()
    wanted = list(spans(source, LENGTH))
    whole = list(told(system, source, wanted, 5, 3))
    for batch in (3, 12):
        for one, other in zip(whole, told(system, source, wanted, 5, 3, batch=batch), strict=True):
            torch.testing.assert_close(one.samples, other.samples, rtol=1e-4, atol=1e-4)
    some = list(told(system, source, wanted[3:5], 5, 3))
    torch.testing.assert_close(some[0].samples, whole[3].samples, rtol=1e-4, atol=1e-4)
    assert not torch.equal(whole[0].samples, next(told(system, source, wanted, 5, 4)).samples)
    apart = (whole[3].samples[0] - whole[3].samples[1])[whole[3].known.isnan()]
    assert (apart != 0.0).all()


def test_what_is_known_keeps_every_sign_and_what_is_not_gets_its_quantiles(tmp_path):
    table(tmp_path, stamps=40)
    before = (tmp_path / "series.csv").read_text().splitlines()
    out = tmp_path / "filled.csv"
    assert impute(model(), tmp_path / "series.csv", out, 9, (0.05, 0.5, 0.95), seed=1) is None
    after = out.read_text().splitlines()
    assert after[0] == before[0] + ",a 0.05,a 0.5,a 0.95,b 0.05,b 0.5,b 0.95"
    gaps = 0
    for old, new in zip(before[1:], after[1:], strict=True):
        old, new = old.split(","), new.split(",")
        for k, cell in enumerate(old[1:]):
            low, middle, high = new[3 + 3 * k : 6 + 3 * k]
            if cell:
                assert (new[1 + k], low, middle, high) == (cell, "", "", "")
            else:
                gaps += 1
                assert float(low) <= float(middle) <= float(high)
                assert float(low) <= float(new[1 + k]) <= float(high)
    assert gaps > 5


def test_ten_thousand_windows_hold_no_more_than_a_hundred():
    def held():
        return sum(x.nelement() for x in gc.get_objects() if type(x) is torch.Tensor)

    def most(windows):
        values = np.sin(np.arange(4.0 * windows + 4.0))
        values[::4] = np.nan
        source = series(pandas.DataFrame({"time": range(len(values)), "a": values}), length=1)
        answers = told(blank(1, 8), source, spans(source, 8), 2, batch=512)
        before, peak, seen = None, 0, 0
        for seen, _ in enumerate(answers, 1):
            if seen % (windows // 3) == 1:
                before = held() if before is None else before
                peak = max(peak, held() - before)
        assert seen == windows
        return peak

    assert most(10_000) <= most(100) + 512 * 8 * 4


# what cannot be


@pytest.mark.parametrize(
    ("system", "data", "sentence"),
    [
        (lambda: systems.ddpm((1, 8, 8)), frame(), "A model of ddpm is not of series"),
        (model, frame(), "has 1 channels .a., and the model learnt 2"),
        (lambda: model(1), frame(hidden=0.0), "has no missing value"),
        (lambda: model(1, horizon=3), frame(), "learnt the last 3 stamps .* use hush forecast"),
    ],
)
def test_what_cannot_be_filled_is_one_sentence(system, data, sentence):
    with pytest.raises(UserError, match=sentence):
        impute(system(), data)


def test_quantiles_are_shares():
    with pytest.raises(UserError, match="quantiles=5: expected shares between 0 and 1"):
        impute(model(1), frame(), samples=2, quantiles=(5.0,))

"""Anomalous stretches of series, where the belief is exact: sound values score 1 on average and
raise as many alarms as was stated, and what is planted is found."""

import math
from dataclasses import replace

import numpy as np
import pandas
import pytest
import torch
from test_impute import model
from torch import nn
from windows import windows

from hush import systems
from hush.app import cli
from hush.data import series
from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.evaluation.detection import auroc
from hush.samplers import Multistep
from hush.tasks.stretches import scored, surprise

LENGTH, SEASON = 24, 12
HOW = {"samples": 24, "sampler": Multistep(), "grid": 12, "batch": 4096}


def covariance(stamps):
    """Of a season of random size, an autoregression and white noise."""
    place = torch.arange(stamps, dtype=torch.float64)
    apart = (place - place.unsqueeze(1)).abs()
    season = 0.6 * (2.0 * math.pi * apart / SEASON).cos()
    return season + 0.3 * 0.6**apart + 0.1 * torch.eye(stamps, dtype=torch.float64)


class Exact(Denoiser):
    """The belief about windows of a Gaussian process: of what is known as it is, of the rest
    noised, E = C A (A C A + R)⁻¹ y, with A = 1 and no noise R where y is known, else α and σ²."""

    def __init__(self, process):
        super().__init__()
        self.process, self.network = process, nn.Linear(1, 1)

    def forward(self, x_t, t, cond=None):
        level, given = self.process.schedule.level(t), cond["series"].double()
        known, c = ~given.isnan(), covariance(x_t.shape[-1])
        gain = torch.where(known, 1.0, float(level.alpha))
        noise = torch.where(known, 1e-9, float(level.sigma) ** 2)
        seen = torch.where(known, given, x_t.double()).unsqueeze(-1)
        held = gain.unsqueeze(-1) * c * gain.unsqueeze(-2) + torch.diag_embed(noise)
        mean = c @ (gain.unsqueeze(-1) * torch.linalg.solve(held, seen))
        mean = mean.squeeze(-1).to(x_t)
        return Gaussian(mean, torch.zeros_like(mean))


def exact():
    system = model(1, LENGTH, chain=60)
    return replace(system, denoiser=Exact(system.denoiser.process))


def drawn(stamps, seed):
    """A draw of the process."""
    root = torch.linalg.cholesky(covariance(stamps))
    noise = torch.randn(stamps, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (root @ noise).numpy()


def read(values):
    return series(pandas.DataFrame({"time": range(len(values)), "a": values}), length=1)


@pytest.fixture(scope="module")
def sound():
    return scored(exact(), read(drawn(900, 1)), **HOW)


def test_the_score_is_that_of_a_gaussian_in_closed_form():
    """CRPS of N(0, s²) at z s is s (z (2Φ(z) - 1) + 2φ(z) - 1/√π), s/√π of its own values."""
    z = torch.tensor([[0.0, 0.5, -1.0, 3.0]]).double()
    samples = 3.0 + 2.0 * torch.randn(40_000, 1, 4, generator=torch.Generator().manual_seed(1))
    law = torch.distributions.Normal(0.0, 1.0)
    crps = z * (2.0 * law.cdf(z) - 1.0) + 2.0 * law.log_prob(z).exp() - math.pi**-0.5
    found = surprise(3.0 + 2.0 * z, samples)
    torch.testing.assert_close(found, math.pi**0.5 * crps, atol=0.03, rtol=0.02)
    flat = surprise(torch.tensor([[1.0, 3.0]]), torch.ones(5, 1, 2), torch.tensor([[0.5]]))
    assert flat.tolist() == [[-1.0, 7.0]]


def test_sound_values_score_1_on_average_and_raise_as_many_alarms_as_was_stated(sound):
    assert abs(sound.raw.mean().item() - 1.0) < 0.12
    level = sound.level(0.05)
    assert abs((sound.score > level).double().mean().item() - 0.05) < 0.002
    other = scored(exact(), read(drawn(900, 2)), **HOW)
    alarms = (other.score > level.unsqueeze(1)).double().mean().item()
    assert 0.01 < alarms < 0.12  # 0.05, scores of neighbours being alike


@pytest.mark.parametrize(
    ("plant", "least"),
    [
        (lambda x: x + np.where(np.arange(len(x)) == 5, 4.0, 0.0), 0.99),
        (lambda x: x + 2.5, 0.9),
        (lambda x: np.full_like(x, x[0]), 0.75),
    ],
    ids=["spike", "shift", "flat"],
)
def test_what_is_planted_is_found(sound, plant, least):
    values, truth = drawn(900, 3), np.zeros(900, dtype=bool)
    for start in range(60, 860, 200):
        before = values[start : start + 12].copy()
        values[start : start + 12] = plant(before)
        truth[start : start + 12] = values[start : start + 12] != before
    data = read(values)
    kept = data.table.values.clone()
    found = scored(exact(), data, **HOW)
    assert torch.equal(data.table.values, kept)
    area = auroc(found.score[0], torch.from_numpy(truth))
    assert area > least
    listed = found.stretches(sound.level(0.01))
    hit = sum(truth[one.start : one.stop].any() for one in listed)
    assert hit >= 2


def test_a_spike_is_one_stretch_and_what_is_missing_has_no_score(sound):
    values = drawn(120, 5)
    values[[30, 31, 90]] = np.nan
    values[60] += 6.0
    found = scored(exact(), read(values), **HOW)
    assert torch.equal(found.raw.isnan(), torch.from_numpy(np.isnan(values)).unsqueeze(0))
    assert torch.equal(found.score.isnan(), found.raw.isnan())
    wanted = np.nanmean(found.raw[0, 58:63].numpy())
    assert abs(found.score[0, 60].item() - wanted) < 1e-5
    spike = max(found.stretches(sound.level(0.01)), key=lambda one: one.score)
    assert (spike.item, spike.channel) == (0, 0)
    assert spike.start <= 60 < spike.stop <= 66
    low, median, high = (found.told[k, 0, 60].item() for k in (0, 2, 4))
    assert low < median < high < values[60]


@pytest.mark.parametrize("name", ["csdi", "timegrad"])
def test_a_forecaster_tells_each_stamp_once_from_those_before_it_alone(name):
    """A tell-tale planted late changes no score before it."""
    torch.manual_seed(3)
    small = {"csdi": {"depth": 1, "heads": 2}, "timegrad": {"cells": 6, "layers": 1, "depth": 2}}
    system = systems.index.find(name)((1, 8), horizon=3, width=8, chain=20, **small[name])
    values = windows(1, 1, 31, missing=0.0)["series"][0, 0].numpy()
    size, how = 1 if name == "timegrad" else 3, {"samples": 3, "seed": 1, "grid": 2, "width": 1}
    found = scored(system, read(values), **how).raw[0]
    first = int((~found.isnan()).nonzero()[0])
    assert first == 31 - (24 // size) * size
    assert not found[first:].isnan().any()
    values[25] += 100.0
    again = scored(system, read(values), **how).raw[0]
    block = first + (25 - first) // size * size
    assert torch.equal(found[first:block], again[first:block])
    assert found[25] != again[25]


def test_series_of_a_long_file_are_told_apart_and_listed_by_name():
    one, two = drawn(60, 6), drawn(40, 7)
    one[20] += 9.0
    frame = pandas.DataFrame({"time": [*range(60), *range(40)], "a": [*one, *two]})
    frame.insert(0, "item", ["x"] * 60 + ["y"] * 40)
    found = scored(exact(), series(frame, length=1, item="item"), **HOW)
    alone = scored(exact(), read(two), **HOW)
    assert abs(found.raw[0, 60:].mean() - alone.raw[0].mean()) < 0.3  # of other draws
    listed = found.listed(found.stretches(torch.tensor([4.0])))
    assert listed.to_dict("records")[0] | {"score": 0} == {
        **{"item": "x", "channel": "a", "start": 18, "stop": 22, "stamps": 5, "score": 0}
    }
    assert list(found.frame().columns) == ["item", "a score"]


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: scored(exact(), read(drawn(60, 1)), samples=1), "samples must be 2 or more"),
        (lambda: scored(exact(), read(drawn(60, 1)), block=0), "block must be 1 or more"),
        (lambda: scored(systems.ddpm((1, 8)), read(drawn(60, 1))), "draws whole windows"),
        (
            lambda: scored(model(1, 8, horizon=2), read(drawn(6, 1)), samples=2),
            "to tell what ends windows of 8 stamps, and no series is as long",
        ),
        (lambda: scored(exact(), read(drawn(60, 1)), **HOW).level(0.001), "takes 1,000: give more"),
        (lambda: scored(exact(), read(drawn(60, 1)), **HOW).level(1.0), "rate=1: expected a share"),
    ],
)
def test_what_cannot_be_found_is_one_sentence(ask, sentence):
    with pytest.raises(UserError, match=sentence):
        ask()


def test_a_run_of_series_lists_stretches_and_scores_and_leaves_the_file_as_it_is(tmp_path, capsys):
    def hush(*arguments):
        cli.run([str(argument) for argument in arguments])

    rng = np.random.default_rng(1)
    lines = [f"{i},{a:.4f},{10 + b:.4f}" for i, (a, b) in enumerate(rng.standard_normal((150, 2)))]
    (tmp_path / "sound.csv").write_text("\n".join(["time,a,b", *lines]) + "\n")
    marked = [f"{line},{int(i == 20)}" for i, line in enumerate(lines[:60])]
    marked[20] = "20,40.0,10.0,1"
    file, text = tmp_path / "odd.csv", "\n".join(["time,a,b,bad", *marked]) + "\n"
    file.write_text(text)
    flags = "--steps 2 --batch 4 --width 8 --depth 1 --heads 2 --chain 8 --workers 0 --threads 1"
    run = tmp_path / "run"
    asked = ["--data", tmp_path / "sound.csv", "--out", run, "--length", 12, "--held-out", 0.2]
    hush("train", "csdi", *asked, *flags.split())
    how = ["--samples", 8, "--seed", 1, "--threads", 1, "--rate", 0.02, "--labels", "bad"]
    hush("detect", run, file, "--out", tmp_path / "found.csv", *how)
    said = capsys.readouterr().out
    assert "what 0.02 of" in said
    assert float(said.split("AUROC ")[1].split()[0]) > 0.9
    assert file.read_text() == text
    found = pandas.read_csv(tmp_path / "found.csv")
    assert list(found.columns) == ["channel", "start", "stop", "stamps", "score"]
    worst = found.loc[found["score"].idxmax()]
    assert (worst["channel"], worst["start"] <= 20 <= worst["stop"]) == ("a", True)
    scores = pandas.read_csv(tmp_path / "found-scores.csv", index_col="time")
    assert (list(scores.columns), len(scores)) == (["a score", "b score"], 60)
    assert (tmp_path / "found.png").is_file()
    hush("detect", run, file, "--out", tmp_path / "f.parquet", *how[:6], "--level", 1000)
    assert len(pandas.read_parquet(tmp_path / "f.parquet")) == 0
    with pytest.raises(UserError, match=r"odd.csv has no column bat; did you mean bad\?"):
        hush("detect", run, file, "--out", tmp_path / "f.csv", *how[:-1], "bat")
    (tmp_path / "sound.csv").unlink()
    with pytest.raises(UserError, match=r"not there to calibrate on: name a file .* in --sound"):
        hush("detect", run, file, "--out", tmp_path / "f.csv", *how)

"""What is to come: stamps that go on, answers to the last window alone, a file of them."""

import json

import numpy as np
import pandas
import pytest
import torch
from PIL import Image
from test_impute import LENGTH, frame, model
from windows import table

from hush import systems
from hush.app import cli
from hush.data import series
from hush.data.future import extended
from hush.errors import UserError
from hush.tasks.forecast import forecast


def hush(*arguments):
    cli.run([str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("stamps", "wanted"),
    [
        (pandas.date_range("2024-02-26", periods=3), ["2024-02-29", "2024-03-01"]),
        (pandas.date_range("2023-10-01", periods=4, freq="MS"), ["2024-02-01", "2024-03-01"]),
        (pandas.date_range("2023-10-31", periods=4, freq="ME"), ["2024-02-29", "2024-03-31"]),
        (pandas.date_range("2023-01-01", periods=4, freq="QS"), ["2024-01-01", "2024-04-01"]),
        (
            pandas.date_range("2024-01-01", periods=3, freq="h"),
            ["2024-01-01 03:00", "2024-01-01 04:00"],
        ),
        ([0.5, 1.0, 1.5], [2.0, 2.5]),
    ],
)
def test_stamps_go_on_by_the_series_own_step(stamps, wanted, tmp_path):
    data = pandas.DataFrame({"time": stamps, "a": np.arange(len(stamps)) ** 2.0})
    data.to_csv(tmp_path / "a.csv", index=False)
    for source in (data, tmp_path / "a.csv"):
        longer = extended(series(source, length=1), 2)
        assert torch.allclose(longer.table.time.diff(), torch.ones(1, dtype=torch.float64))
        found = longer.table.cells.frame["time"].iloc[-2:]
        assert list(found) == list(
            pandas.to_datetime(wanted) if isinstance(wanted[0], str) else wanted
        )
        assert torch.equal(longer.table.values[0, :-2], torch.arange(float(len(stamps))) ** 2)
        assert longer.table.values[0, -2:].isnan().all()


def test_a_forecast_is_told_from_the_last_window_and_is_a_frame_of_its_stamps():
    data, system = frame(40, 2, hidden=0.0), model()
    found = forecast(system, data, 5, samples=20, seed=3)
    assert found.samples.shape == (1, 20, 2, 5)
    told = found.frame((0.05, 0.95))
    assert isinstance(told.index, pandas.DatetimeIndex)
    assert list(told.index) == list(pandas.date_range("2020-02-10", periods=5))
    assert list(told.columns) == ["a", "b", "a 0.05", "a 0.95", "b 0.05", "b 0.95"]
    assert np.allclose(told["b"], found.samples[0, :, 1].mean(0), rtol=1e-5)
    assert (told["a 0.05"] < told["a 0.95"]).all()
    before = data.copy()
    before.loc[: 39 - (LENGTH - 5), ["a", "b"]] += 100.0
    assert torch.equal(forecast(system, before, 5, samples=20, seed=3).samples, found.samples)
    before.loc[39, "a"] += 1.0
    assert not torch.equal(forecast(system, before, 5, samples=20, seed=3).samples, found.samples)


def test_every_series_of_a_long_file_has_its_own_future():
    one, two = frame(20, seed=1, hidden=0).assign(item="x"), frame(9, seed=2).assign(item="y")
    data = pandas.concat([one, two])
    found = forecast(model(1), data, 3, samples=4, seed=1, item="item")
    told = found.frame()
    assert list(told["item"]) == ["x"] * 3 + ["y"] * 3
    assert list(told.index[3:]) == list(pandas.date_range("2020-01-10", periods=3))
    alone = forecast(model(1), one, 3, samples=4, seed=1, item="item")
    torch.testing.assert_close(alone.samples[0], found.samples[0])


@pytest.mark.parametrize(
    ("system", "horizon", "options", "sentence"),
    [
        (lambda: systems.ddpm((1, 8, 8)), 3, {}, "A model of ddpm is not of series"),
        (lambda: model(1), 12, {}, "horizon=12: .* windows of 12 stamps, so it tells 1 to 11"),
        (lambda: model(1, horizon=3), 4, {}, "horizon=4: .* learnt to tell 1 to 3 stamps ahead"),
        (lambda: model(1), 0, {}, "horizon=0"),
        (
            lambda: model(1),
            2,
            {"values": "a", "covariates": "b"},
            "ahead of b is not known: add rows .* hush impute",
        ),
    ],
)
def test_what_cannot_be_told_is_one_sentence(system, horizon, options, sentence):
    with pytest.raises(UserError, match=sentence):
        forecast(system(), frame(30, 1 + len(options) // 2, hidden=0.0), horizon, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("telling")
    table(folder, stamps=60)
    flags = "--steps 1 --batch 4 --width 8 --depth 1 --heads 2 --chain 4 --workers 0 --threads 1"
    asked = ["--data", folder / "series.csv", "--out", folder / "run", "--length", 12]
    hush("train", "csdi", *asked, *flags.split(), "--held-out", 0.3)
    return folder / "run"


def test_a_run_fills_and_foretells_files_of_the_columns_it_learnt(run, tmp_path, capsys):
    assert json.loads((run / "system.json").read_text())["data"]["channels"] == ["a", "b"]
    lines = (run.parent / "series.csv").read_text().splitlines()
    file = tmp_path / "other.csv"
    file.write_text("\n".join(f"{line},{'c' if i == 0 else i}" for i, line in enumerate(lines)))
    flags = ["--samples", 3, "--seed", 5, "--threads", 1]
    hush("impute", run, file, "--out", tmp_path / "filled.csv", *flags, "--quantiles", ".1", ".9")
    filled = pandas.read_csv(tmp_path / "filled.csv")
    assert list(filled.columns) == ["time", "a", "b", "c", "a 0.1", "a 0.9", "b 0.1", "b 0.9"]
    assert not filled[["a", "b"]].isna().any().any()
    hush("forecast", run, file, "--horizon", 4, "--out", tmp_path / "next.csv", *flags)
    told = pandas.read_csv(tmp_path / "next.csv", index_col="time")
    assert list(told.index) == [60, 61, 62, 63]
    assert list(told.columns)[:5] == ["a", "b", "a 0.05", "a 0.5", "a 0.95"]
    assert "seed 5" in capsys.readouterr().out
    for name in ("filled", "next"):
        assert Image.open(tmp_path / f"{name}.png").size == (900, 470)  # a panel a channel


def test_a_file_without_the_columns_is_one_sentence(run, tmp_path):
    (tmp_path / "x.csv").write_text("time,a,z\n0,1,2\n1,,3\n")
    with pytest.raises(UserError, match=r"x.csv has no column b"):
        hush("impute", run, tmp_path / "x.csv", "--out", tmp_path / "y.csv", "--threads", 1)
    assert not (tmp_path / "y.csv").exists()

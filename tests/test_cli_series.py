"""Series on the command line: from a file of numbers to a run, in the options of such data."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from windows import table

from hush.app import cli
from hush.data.bands import bands
from hush.errors import UserError
from hush.systems.index import load

SMALL = "--steps 2 --batch 4 --width 8 --depth 1 --threads 1 --workers 1 --held-out 0.3"
OWN = {"csdi": "--heads 2", "sssd": "--states 8"}


def hush(*arguments):
    cli.run([str(argument) for argument in arguments])


@pytest.fixture
def file(tmp_path):
    table(tmp_path, stamps=80)
    return tmp_path / "series.csv"


@pytest.mark.parametrize("name", OWN)
def test_a_run_of_series_knows_its_windows_and_shows_its_answers(name, file, tmp_path, capsys):
    out = tmp_path / "run"
    flags = [*SMALL.split(), *OWN[name].split()]
    hush("train", name, "--data", file, "--out", out, "--context", 8, "--horizon", 4, *flags)
    assert "windows of 12 stamps" in capsys.readouterr().err
    asked = json.loads((out / "system.json").read_text())["arguments"]
    assert (asked["shape"], asked["horizon"], asked["features"]) == ([2, 12], 4, 0)
    task = load(out).task
    assert (task.hide, task.horizon) == ("forecast", 4)
    picture = np.asarray(Image.open(out / "samples" / "step-000000002.png"))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10


def test_covariates_and_what_means_missing_are_read_as_asked(file, tmp_path):
    lines = file.read_text().splitlines()
    lines[5] = "4,-99.9,1.5"
    file.write_text("\n".join(lines))
    out = tmp_path / "run"
    asked = ["--length", 6, "--values", "a", "--calendar", "position", "--missing", "-99.9"]
    flags = [*SMALL.split(), *OWN["csdi"].split(), "--hide", "random"]
    hush("train", "csdi", "--data", file, "--out", out, *asked, *flags)
    system = load(out)
    assert (system.task.shape, system.task.features, system.task.hide) == ((1, 6), 1, "random")
    assert system.codec.mean.item() > -10.0
    assert system.codec.told_deviation.item() != 1.0
    # What its features were made of need not be said again, nor how its own data are read.
    few = ["--samples", 2, "--steps", 1, "--threads", 1]
    hush("impute", out, file, "--out", tmp_path / "filled.csv", *few)
    assert "-99.9" not in (tmp_path / "filled.csv").read_text()
    hush("detect", out, file, "--out", tmp_path / "odd.csv", "--rate", 0.1, *few)
    assert (tmp_path / "odd.csv").read_text()
    hush("evaluate", out, *few, "--shares", 0.5, "--horizon", 0, "--count", 2)
    assert "series.csv" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("train vdm --data {file} --out x", "holds series, not pictures: train one of ddpm, ddim"),
        ("train csdi --data {file} --out x --length 81", "pass a smaller length"),
        ("train csdi --data {file} --out x --context 8", "expected both or neither"),
        ("train csdi --data {file} --out x --length 12 --hide forecast", "horizon=0: a forecast"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(line, sentence, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=sentence):
        hush(*line.format(file=file).split())
    assert not (tmp_path / "x").exists()


def test_the_picture_of_answers_is_the_same_every_time_and_shows_what_is_told():
    known = torch.full((2, 2, 9), torch.nan)
    known[:, :, :4] = torch.arange(4.0)
    told = known.nan_to_num(5.0).unsqueeze(1) + torch.linspace(-1, 1, 7).reshape(-1, 1, 1)
    first, again = (
        bands(known, told, known.nan_to_num(5.0)),
        bands(known, told, known.nan_to_num(5.0)),
    )
    assert torch.equal(first, again)
    assert (first.min() >= 0.0, first.max() <= 1.0) == (True, True)
    assert not torch.equal(first, bands(known, told + 1.0, known.nan_to_num(5.0)))

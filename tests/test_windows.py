"""Windows of series drawn from nothing: of an exact belief they have the law of what made them."""

import weakref

import numpy as np
import pandas
import pytest
import torch
from windows import CHANNELS, LENGTH, table, windows

from hush import systems
from hush.app import cli
from hush.app.kinds import Pictures, Series, meant
from hush.data import series, split
from hush.data.drawn import write_windows
from hush.errors import UserError
from hush.evaluation.principal import Moments
from hush.evaluation.yardstick import FittedGaussian
from hush.networks import Backbone
from hush.samplers import Multistep
from hush.systems.index import load
from hush.tasks.windows import generate
from hush.tasks.windows import windows as drawn

TINY = Backbone(width=8, multipliers=(1, 2), blocks=1, attention=())
PLAIN = ["ddpm", "ddim", "edm", "rectified_flow", "score_sde"]
MEANS, UNITS = torch.tensor([20.0, 1000.0]).double(), torch.tensor([3.0, 80.0]).double()


def hush(*arguments):
    cli.run([str(argument) for argument in arguments])


def small(name="ddpm", shape=(CHANNELS, LENGTH), **settings):
    torch.manual_seed(3)
    return systems.index.find(name)(shape, backbone=TINY, **settings)


def autoregression(length, share=0.7, between=0.5):
    """The covariance, in units of x_0, of windows of an AR(1) series of two channels."""
    place = torch.arange(length, dtype=torch.float64)
    along = share ** (place - place.unsqueeze(1)).abs()
    return torch.kron(torch.tensor([[1.0, between], [between, 1.0]]).double(), along)


@pytest.mark.parametrize("name", PLAIN)
def test_windows_of_an_exact_belief_have_the_covariance_of_the_series(name):
    """The belief is that about an AR(1) series of two channels, in the units of the codec; what is
    drawn, in the units of the table, has mean m and covariance S C S, S their deviations. The
    covariance of n draws errs by ((c_ii c_jj + c_ij²)/n)^½ at each entry."""
    system, count, length = small(name, (2, 6)), 4000, 6
    system.codec.mean.copy_(MEANS)
    system.codec.deviation.copy_(UNITS)
    unit = system.codec.unit
    values, axes = torch.linalg.eigh(autoregression(length) * unit**2)
    known = Moments(torch.zeros(2, length).double(), axes.T, values, torch.zeros(()).double())
    belief = FittedGaussian(system.denoiser.process, known)
    object.__setattr__(system, "denoiser", belief)
    belief.network, belief.weight = torch.nn.Identity(), torch.nn.Parameter(torch.zeros(1))
    found = system.sample(count, sampler=Multistep(), grid=60, seed=5, batch=count).double()
    scale = UNITS.repeat_interleave(length)
    wanted = scale.unsqueeze(1) * autoregression(length) * scale
    error = ((wanted.diagonal() * wanted.diagonal().unsqueeze(1) + wanted**2) / count).sqrt()
    assert ((found.flatten(1).T.cov() - wanted).abs() < 4.5 * error).all()
    off = (found.mean(0) - MEANS.unsqueeze(1)).flatten().abs()
    assert (off < 4.5 * (wanted.diagonal() / count).sqrt()).all()


# which windows are learnt


def test_windows_that_miss_something_are_left_out_and_that_is_said(tmp_path):
    every = table(tmp_path, stamps=200, length=6)
    whole = series(tmp_path / "series.csv", length=6, whole=True)
    kept = [k for k in range(len(every)) if not every.read([k])["series"].isnan().any()]
    assert 0 < len(kept) == len(whole) < len(every)
    for k, place in enumerate(kept):
        assert whole.place(k) == every.place(place)
    assert f"{len(every) - len(kept):,} windows with something missing are left out" in str(
        whole.notes
    )
    assert every.digest() != whole.digest()
    learnt, held_out = split(whole, 0.3)
    last = max(learnt.place(k)[1].stop for k in range(len(learnt)))
    assert last <= min(held_out.place(k)[1].start for k in range(len(held_out)))
    assert not held_out.read(range(len(held_out)))["series"].isnan().any()


def test_where_no_window_is_whole_a_sentence_says_so(tmp_path):
    table(tmp_path, stamps=60)
    with pytest.raises(UserError, match="every window of 40 stamps holds something missing"):
        series(tmp_path / "series.csv", length=40, whole=True)
    system = small(shape=(CHANNELS, 6))
    with pytest.raises(UserError, match="whole=True"):
        systems_train(system, series(tmp_path / "series.csv", length=6), tmp_path / "run")


def systems_train(system, source, out):
    from hush.training.loop import train

    return train(system, source, out, steps=1, batch=4, show=False)


# what is drawn


def test_a_window_is_the_same_in_whatever_batch_and_none_is_held(tmp_path):
    system = small("rectified_flow")
    system.codec.fit([windows(8, missing=0.0)["series"]])
    whole = torch.cat([part for part, _ in drawn(system, 9, seed=4, grid=3)])
    parts = [part for part, _ in drawn(system, 9, seed=4, grid=3, batch=2)]
    assert [len(part) for part in parts] == [2, 2, 2, 2, 1]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-4, atol=1e-4)
    alone = system.sample(1, seed=4, grid=3, start=6)
    torch.testing.assert_close(alone[0], whole[6], rtol=1e-4, atol=1e-4)

    alive, most = [], 0

    def watched():
        nonlocal most
        for part, names in drawn(system, 40, seed=4, grid=1, batch=2):
            alive.append(weakref.ref(part))
            most = max(most, sum(ref() is not None for ref in alive))
            yield part, names

    for name in ("w.csv", "w.parquet"):
        write_windows(tmp_path / name, watched(), ("a", "b"))
    assert (len(alive), most) == (40, 2)  # what is written, and what is drawn meanwhile


def test_a_table_of_windows_is_read_again_as_series(tmp_path):
    system = small("rectified_flow", classes=("x", "y"))
    system.codec.fit([windows(8, missing=0.0)["series"]])
    out = tmp_path / "windows.csv"
    generate(system, 5, out, ("a", "time"), seed=4, grid=2, batch=2)
    found = pandas.read_csv(out)
    assert list(found.columns) == ["sample", "class", "time_", "a", "time"]
    assert list(found["class"][::LENGTH]) == ["x", "y", "x", "y", "x"]
    again = series(out, item="sample", time="time_", values=("a", "time"), length=LENGTH)
    assert (len(again), again.items) == (5, ("0", "1", "2", "3", "4"))
    wanted = system.sample(5, seed=4, grid=2)
    torch.testing.assert_close(again.read(range(5))["series"], wanted, rtol=1e-4, atol=1e-4)
    assert not list(out.parent.glob("*.part"))


# the command line


FLAGS = "--steps 2 --batch 4 --width 8 --multipliers 1 2 --blocks 1 --attention 1 --threads 1 "
FLAGS += "--workers 0 --held-out 0.3"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("windows")
    table(folder, stamps=200, length=8)
    asked = ["--data", folder / "series.csv", "--out", folder / "run", "--length", 6]
    hush("train", "ddpm", *asked, "--chain", 20, *FLAGS.split())
    return folder / "run"


def test_a_run_of_series_generates_windows_in_the_units_of_its_table(run, tmp_path, capsys):
    system = load(run)
    assert (system.task.shape, system.threshold) == ((CHANNELS, 6), None)
    assert (run / "samples" / "step-000000002.png").is_file()
    hush("generate", run, "--count", 7, "--out", tmp_path / "w.csv", "--seed", 3, "--threads", 1)
    assert "7 windows drawn with seed 3" in capsys.readouterr().out
    found = pandas.read_csv(tmp_path / "w.csv")
    assert list(found.columns) == ["sample", "time", "a", "b"]
    assert list(found["time"]) == [*range(6)] * 7
    wanted = system.sample(7, seed=3).transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(
        torch.tensor(found[["a", "b"]].to_numpy()).float(), wanted, rtol=1e-4, atol=1e-4
    )
    hush("generate", run, "--count", 7, "--out", tmp_path / "w.parquet", "--seed", 3, "--batch", 2)
    again = pandas.read_parquet(tmp_path / "w.parquet")
    assert np.allclose(again, found, rtol=1e-4, atol=1e-4)  # in whatever batch
    assert (tmp_path / "w.png").is_file()


def test_what_is_asked_of_the_wrong_run_names_the_verb_that_is_meant(run, tmp_path):
    with pytest.raises(UserError, match="hush generate"):
        hush("sample", run)
    with pytest.raises(UserError, match="draws whole windows, and tells nothing"):
        hush("impute", run, run.parent / "series.csv", "--out", tmp_path / "x.csv")
    for verb in ("retell", "purify", "inpaint"):
        more = ["--data", run.parent / "series.csv"] if verb == "retell" else ["x.png"]
        more += ["--mask", "y.png"] if verb == "inpaint" else []
        with pytest.raises(UserError, match="has learnt series, and this is done with pictures"):
            hush(verb, run, *more, "--out", tmp_path / "x")
    flags = ["--out", tmp_path / "x", "--data", run.parent / "series.csv", "--length", 6]
    with pytest.raises(UserError, match="--calendar: ddpm draws windows from nothing"):
        hush("train", "ddpm", *flags, "--calendar", "position", *FLAGS.split())
    with pytest.raises(UserError, match="use hush impute or hush forecast"):
        generate(systems.csdi((2, 8), width=8, depth=1, heads=2), 1, tmp_path / "x.csv")
    with pytest.raises(UserError, match="use hush sample"):
        generate(small(shape=(1, 8, 8)), 1, tmp_path / "x.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "flags", "kind"),
    [
        ("ddpm", "--data a.csv", Series),
        ("ddpm", "--data=elnino --out x", Series),
        ("ddpm", "--out x --data a.parquet --length 8", Series),
        ("ddpm", "--out x --data a.parquet", Pictures),
        ("ddpm", "--data photos/", Pictures),
        ("ddpm", "--help", Pictures),
        ("csdi", "--data a.parquet", Series),
        ("vdm", "--data a.csv", Pictures),
    ],
)
def test_the_kind_of_data_is_that_of_the_system_or_of_what_data_names(name, flags, kind):
    assert isinstance(meant(name, flags.split()), kind)

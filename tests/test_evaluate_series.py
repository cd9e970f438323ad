"""`hush evaluate` of runs of series: gaps and futures of what was held out, beside others."""

import pytest
from PIL import Image
from windows import table

from hush.app import cli
from hush.errors import UserError
from hush.tasks.judged.backtest import FORECASTS
from hush.tasks.judged.gaps import GAPS

SMALL = "--steps 1 --batch 4 --width 8 --depth 1 --threads 1 --workers 0 --held-out 0.4"
RUNS = {
    "csdi": "--length 10 --heads 2 --chain 4",
    "horizon": "--context 7 --horizon 3 --heads 2 --chain 4",
    "timegrad": "--length 10 --cells 4 --chain 20",
}
FEW = "--samples 4 --count 2 --threads 1"


def hush(line, **places):
    cli.run(line.format(**places).split())


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged")
    table(folder, stamps=90)
    for name, flags in RUNS.items():
        system = "timegrad" if name == "timegrad" else "csdi"
        hush(f"train {system} --data {folder}/series.csv --out {folder}/{name} {flags} {SMALL}")
    return folder


def rows(said):
    """Who stands in each table, by its title."""
    found = {}
    for line in said.splitlines():
        word = line.strip().split(":")[0]
        if word in ("gaps", "forecasts"):
            found[word] = []
        elif found and any(char.isdigit() for char in line) and "  " in line.strip():
            found[word if word in found else list(found)[-1]].append(line)
    return found


def test_a_run_is_judged_on_the_gaps_and_the_futures_it_has_not_learnt(home, capsys):
    hush("evaluate {home}/csdi --data {home}/series.csv --shares .3 --horizon 2 " + FEW, home=home)
    said = capsys.readouterr().out
    found = rows(said)
    assert list(found) == ["gaps", "forecasts"]
    for told, known in (("gaps", GAPS), ("forecasts", FORECASTS)):
        # Numbers have no season.
        for who in ("csdi", *(name for name in known if name != "seasonal naive")):
            assert any(who in line for line in found[told])
        assert "seasonal naive" not in "".join(found[told])
    assert "2 windows of 10 stamps" in said
    assert "2 origins, 2 stamps ahead" in said
    assert "The run has not learnt from this" in said
    assert "19 --samples or more tell" in said
    places = [line for line in said.splitlines() if str(home) in line]
    assert places == [f"As a page: {home}/csdi/report.html"]
    assert max(len(line) for line in said.splitlines() if line not in places) <= 80


def test_a_picture_tells_whether_a_run_is_sure_as_it_may_be(home, tmp_path):
    asked = "evaluate {home}/csdi --data {home}/series.csv --shares .5 --horizon 0 --count 3 "
    hush(asked + "--samples 19 --against linear --threads 1", home=home)
    assert min(Image.open(home / "csdi" / "calibration.png").size) > 300
    asked += "--samples 19 --against linear --report {out}/told/page.html --out {out}/c.png"
    hush(asked, home=home, out=tmp_path)
    assert (tmp_path / "c.png").exists()
    text = (tmp_path / "told" / "page.html").read_text()
    assert "csdi, 50 %" in text
    assert text.count("<svg") == 1


@pytest.mark.parametrize(("name", "ahead"), [("horizon", 3), ("timegrad", 2)])
def test_a_forecaster_is_judged_on_futures_alone(name, ahead, home, capsys):
    line = "evaluate {home}/{name} --data {home}/series.csv --against VAR --period 4 " + FEW
    hush(line, home=home, name=name)
    said = capsys.readouterr().out
    assert list(rows(said)) == ["forecasts"]
    assert f"{ahead} stamps ahead of each" in said
    assert "ARIMA" not in said


def test_of_another_file_the_whole_is_taken(home, tmp_path, capsys):
    text = (home / "series.csv").read_text()
    (tmp_path / "other.csv").write_text(text)
    line = "evaluate {home}/csdi --data {out}/other.csv --shares .5 --horizon 0 --against linear "
    hush(line + FEW, home=home, out=tmp_path)
    assert "has maybe learnt from this" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("csdi --against GP", "there is no such method"),
        ("csdi --count 1", "--count must be 2 or more"),
        ("horizon --horizon 4", "learnt to tell 1 to 3 stamps ahead"),
        ("horizon --horizon 0", "give --shares, or a --horizon"),
    ],
)
def test_what_cannot_be_judged_is_one_sentence(line, sentence, home):
    with pytest.raises(UserError, match=sentence):
        hush("evaluate {home}/" + line + " --data {home}/series.csv --threads 1", home=home)

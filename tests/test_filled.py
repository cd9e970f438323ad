"""The way back: what was observed is the same to the last bit, what was missing is filled."""

import csv
import io
import math

import numpy as np
import pandas
import pytest
import torch

from hush.data import series
from hush.data.filled import filled
from hush.errors import UserError

TEXT = (
    "\ufeff# taken by hand\r\n"
    'name,"heat, °C",date,"say ""v""",who\r\n'
    "x, 1.50 ,2024-01-03,+7e0,a\r\n"
    'y,"",2024-01-01,-99.90,a\r\n'
    "\r\n"
    '"z, ""q""","0012.340",2024-01-02,NaN,a\r\n'
    "x,NA,2024-01-01,3,b\r\n"
    "x,0.1000000000000000055511151231257827,2024-01-02,1e-3,b"
)


def answered(source, value=lambda channel, stamp: 100 * channel + stamp + 0.1):
    channels, stamps = source.table.values.shape
    grid = [[value(c, s) for s in range(stamps)] for c in range(channels)]
    return torch.tensor(grid, dtype=torch.float64)


def raw_rows(text):
    return [line.split(",") for line in text.splitlines()]


@pytest.fixture
def path(tmp_path):
    (tmp_path / "t.csv").write_bytes(TEXT.encode())
    return tmp_path / "t.csv"


def opened(path):
    return series(path, item="who", values=("heat, °C", 'say "v"'), missing=-99.9, length=2)


def test_a_csv_changes_in_its_missing_cells_alone(path, tmp_path):
    """Byte for byte the old text, with these four cells put in their places."""
    source = opened(path)
    filled(source, answered(source), tmp_path / "out.csv")
    wanted = TEXT.replace('y,"",', "y,0.1,").replace("-99.90", "100.1")
    wanted = wanted.replace("NaN", "101.1").replace("x,NA,", "x,3.1,")
    assert (tmp_path / "out.csv").read_bytes() == wanted.encode()
    assert path.read_bytes() == TEXT.encode()


def test_what_nobody_answered_stays_as_it_is(path, tmp_path):
    source = opened(path)
    filled(source, torch.full_like(source.table.values, math.nan), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == TEXT.encode()


def test_quantiles_are_columns_beside_the_table(path, tmp_path):
    source = opened(path)
    answer = answered(source)
    filled(source, answer, tmp_path / "out.csv", {0.05: answer - 1, 0.95: answer + 1})
    text = (tmp_path / "out.csv").read_bytes().decode("utf-8-sig").partition("\r\n")[2]
    header, *rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    assert header[5:] == ["heat, °C 0.05", "heat, °C 0.95", 'say "v" 0.05', 'say "v" 0.95']
    assert rows[0][5:] == ["", "", "", ""]
    assert rows[1][5:] == ["-0.9", "1.1", "99.1", "101.1"]


def test_what_was_filled_is_read_again_as_the_answer(path, tmp_path):
    source = opened(path)
    filled(source, answered(source), tmp_path / "out.csv")
    again = opened(tmp_path / "out.csv").table.values
    known = source.table.values
    torch.testing.assert_close(again, known.where(~known.isnan(), answered(source).float()))


def test_a_frame_comes_back_with_its_columns_order_index_and_types():
    stamps = pandas.date_range("2024", periods=4)[::-1]
    columns = {
        "b": [0.1, None, 0.3, 0.4],
        "word": list("wxyz"),
        "n": [1, -99, 3, 2**53],
        "small": np.array([0.1, np.nan, 3, 4], dtype=np.float32),
        "whole": pandas.array([1, None, 3, 4], dtype="Int64"),
        "kept": [1, 2, 3, 4],
    }
    frame = pandas.DataFrame(columns, stamps)
    names = ("b", "n", "small", "whole", "kept")
    source = series(frame, values=names, missing=-99, length=4)
    back = filled(source, answered(source), quantiles={0.5: answered(source)})
    assert list(back.columns) == [*frame.columns, *(f"{name} 0.5" for name in names)]
    assert back.index.equals(frame.index)
    assert frame.n.tolist()[1] == -99
    # The second row of the table is the third in time.
    assert back.iloc[1][list(names)].tolist() == pytest.approx([2.1, 102.1, 202.1, 302.1, 2])
    assert (back.small.dtype, back.kept.dtype, back.b.dtype) == (np.float32, np.int64, np.float64)
    for name in names:
        assert back[name].drop(stamps[1]).tolist() == frame[name].drop(stamps[1]).tolist()
    assert back["kept 0.5"].isna().all()


def test_parquet_comes_back_as_parquet(tmp_path):
    frame = pandas.DataFrame({"date": pandas.date_range("2024", periods=4), "w": list("abcd")})
    frame["v"] = [0.1, None, 0.3, None]
    frame["n"] = pandas.array([1, None, 3, 4], dtype="Int32")
    frame["k"] = np.arange(4, dtype=np.int16)
    frame.to_parquet(tmp_path / "t.parquet")
    source = series(tmp_path / "t.parquet", values=("v", "n", "k"), length=4)
    filled(source, answered(source), tmp_path / "out.parquet", {0.5: answered(source)})
    back = pandas.read_parquet(tmp_path / "out.parquet")
    assert list(back.columns[:5]) == list(frame.columns)
    assert back.v.tolist() == pytest.approx([0.1, 1.1, 0.3, 3.1], rel=1e-6)
    assert back.v[0] == 0.1
    assert back.n.tolist() == pytest.approx([1, 101.1, 3, 4], rel=1e-6)
    assert (back.k.dtype, back.w.tolist()) == (np.int16, list("abcd"))
    assert back["v 0.5"].isna().tolist() == [True, False, True, False]


def test_what_cannot_be_written_is_said(path, tmp_path):
    source = opened(path)
    answer = answered(source)
    cases = [
        ((answer[:1], tmp_path / "o.csv"), r"got \(1, 5\); expected \(2, 5\)"),
        ((answer,), "name it in out"),
        ((answer / 0, tmp_path / "o.csv"), "infinite values"),
        ((answer, path), "is the file that was read"),
        ((answer, tmp_path / "nowhere" / "o.csv"), "cannot be written: no such file"),
    ]
    for given, said in cases:
        with pytest.raises(UserError, match=said):
            filled(source, *given)
    again = tmp_path / "again.csv"
    again.write_text("date,v,v 0.5\n2024-01-01,,1\n2024-01-02,3,\n")
    twice = series(again, values="v", length=2)
    with pytest.raises(UserError, match=r"has a column v 0\.5 already"):
        filled(twice, answered(twice), tmp_path / "o.csv", {0.5: answered(twice)})
    again.unlink()
    path.write_text("date,v\n")
    with pytest.raises(UserError, match="has changed since"):
        filled(source, answer, tmp_path / "o.csv")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["t.csv"]

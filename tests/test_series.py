"""Series: what a table says is what a record holds, time is never shuffled, bad files are named."""

import math
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas
import pytest
import torch

import hush
from hush.data import series, split
from hush.errors import UserError


def put(folder, text, name="t.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def days(count, start="2024-01-01"):
    return [str(day.date()) for day in pandas.date_range(start, periods=count)]


def table(columns):
    rows = zip(*columns.values(), strict=True)
    return "\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n"


# what is read


def test_wide_form_with_every_kind_of_missing(tmp_path):
    cells = ["1.5", "", "NaN", " na ", "-99.90", "?", "1e2", "null"]
    path = put(tmp_path, table({"date": days(8), "a": cells, "b": range(8)}))
    source = series(path, length=8, missing=(-99.9, "?"))
    record = source.read([0])
    nan = math.nan
    wanted = torch.tensor([1.5, nan, nan, nan, nan, nan, 100.0, nan])
    torch.testing.assert_close(record["series"][0, 0], wanted, equal_nan=True)
    assert record["series"][0, 1].tolist() == list(range(8))
    assert record["time"][0].tolist() == list(range(8))
    assert (source.shape, source.channels, source.classes) == ((2, 8), ("a", "b"), ())


def test_long_form_holds_many_series_with_their_own_length_and_facts(tmp_path):
    rows = [("x", day, i, 5) for i, day in enumerate(days(6))]
    rows += [("y", day, 10 * i, 7) for i, day in enumerate(days(4, "2023-05-05"))]
    rows += [("z", day, 0.5, 9) for day in days(2)]
    mixed = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    text = table(dict(zip(["who", "when", "v", "height"], zip(*mixed, strict=True), strict=True)))
    source = series(
        put(tmp_path, text), time="when", item="who", static="height", length=3, labels=True
    )
    assert sorted(source.items) == ["x", "y", "z"]
    assert len(source) == 4 + 2
    assert "sorted" in source.summary()
    assert "1 series shorter than a window are left out" in source.summary()
    record = source.read(range(len(source)))
    for values, item, fact in zip(record["series"], record["item"], record["static"], strict=True):
        name = source.classes[item]
        step = {"x": 1.0, "y": 10.0}[name]
        assert values[0].diff().tolist() == [step, step]
        assert fact.tolist() == [{"x": 5.0, "y": 7.0}[name]]
    assert record["label"].equal(record["item"])


def test_irregular_stamps_are_real_elapsed_time_in_median_steps(tmp_path):
    hours = [0.0, 1.0, 2.0, 5.0, 6.0, 6.5]
    stamps = [(datetime(2024, 3, 1) + timedelta(hours=hour)).isoformat() for hour in hours]
    source = series(put(tmp_path, table({"time": stamps, "v": range(6)})), length=4, stride=2)
    assert len(source) == 2
    record = source.read([0, 1])
    assert record["time"].tolist() == [[0.0, 1.0, 2.0, 5.0], [0.0, 3.0, 4.0, 4.5]]
    assert "0.5 to 3 steps apart" in source.summary()


@pytest.mark.parametrize("frequency", ["MS", "ME", "QS", "YS"])
def test_months_are_even_however_many_days_they_have(frequency):
    stamps = pandas.date_range("1999-01-01", periods=40, freq=frequency)
    source = series(pandas.Series(range(40), stamps, dtype=float), length=40)
    assert source.read([0])["time"][0].tolist() == list(range(40))


def test_quarters_months_and_numbers_are_stamps(tmp_path):
    for stamps in (["1959Q1", "1959Q2", "1959-Q3"], ["1959-01", "1959-02", "1959-03"], [7, 8, 9]):
        source = series(put(tmp_path, table({"time": stamps, "v": [1, 2, 3]})), length=3)
        assert source.read([0])["time"][0].tolist() == [0.0, 1.0, 2.0]


def test_dates_of_ones_own_form(tmp_path):
    path = put(tmp_path, "ds;v\n02/01/2024;1\n01/02/2024;2\n")
    source = series(path, length=2, time_format="%d/%m/%Y", delimiter=";")
    assert source.read([0])["series"].flatten().tolist() == [1.0, 2.0]
    assert "steps" not in source.summary()


def test_offsets_are_put_in_the_order_of_their_moments(tmp_path):
    """A clock set back an hour repeats its times on the wall, and not its moments."""
    stamps = ["2024-10-27T02:30+02:00", "2024-10-27T02:30+01:00", "2024-10-27T03:30+01:00"]
    path = put(tmp_path, table({"time": stamps, "v": [1, 2, 3]}))
    source = series(path, length=3, calendar="hour")
    record = source.read([0])
    assert record["time"][0].tolist() == [0.0, 1.0, 2.0]
    assert "2 UTC offsets" in source.summary()
    sine, cosine = record["covariates"][0]
    wall = torch.atan2(sine, cosine) * 24 / (2 * math.pi)
    torch.testing.assert_close(wall, torch.tensor([2.5, 2.5, 3.5]))


def test_the_calendar_is_that_of_datetime(tmp_path):
    stamps = [datetime(2023, 2, 27, 23, 30) + timedelta(hours=7 * i) for i in range(2000)]
    path = put(tmp_path, table({"time": stamps, "price": range(2000), "v": range(2000)}))
    names = ("hour", "weekday", "yearday", "month", "position")
    source = series(path, length=2000, covariates="price", calendar=names)
    price, *angles, position = source.read([0])["covariates"][0].double()
    assert source.features[:3] == ("price", "hour sine", "hour cosine")
    assert price.tolist() == list(range(2000))
    torch.testing.assert_close(10**position, torch.arange(2000).double() + 2, rtol=1e-5, atol=0)
    turns = [
        (torch.atan2(s, c) / (2 * math.pi)) % 1.0
        for s, c in zip(angles[::2], angles[1::2], strict=True)
    ]
    wanted = []
    for day in stamps:
        begun, ends = datetime(day.year, 1, 1), datetime(day.year + 1, 1, 1)
        hour = (day.hour + day.minute / 60) / 24
        year = (day - begun) / (ends - begun)
        wanted.append((hour, day.weekday() / 7, year, (day.month - 1) / 12))
    torch.testing.assert_close(
        torch.stack(turns, 1), torch.tensor(wanted).double(), atol=1e-5, rtol=0
    )


def test_csv_parquet_and_pandas_are_the_same_series(tmp_path):
    frame = pandas.DataFrame({"date": pandas.date_range("2024", periods=9), "n": range(9)})
    frame["v"] = [0.1, None, 2.5, 3, 4, 5, 6, None, 8]
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    made = [tmp_path / "t.csv", tmp_path / "t.parquet", frame, frame.set_index("date")]
    sources = [series(source, length=4) for source in made]
    assert len({source.digest() for source in sources}) == 1
    assert torch.equal(sources[0].table.values.nan_to_num(9), sources[1].table.values.nan_to_num(9))


def test_an_index_is_time_if_it_has_a_name_or_holds_dates(tmp_path):
    frame = pandas.DataFrame({"date": pandas.date_range("2024", periods=6), "v": range(6)})
    assert series(frame[frame.v > 2], length=3).channels == ("v",)
    indexed = frame.set_index("date")
    indexed.index.name = None
    assert series(indexed, length=3).channels == ("v",)
    for name, table in (("named", frame.set_index("date")), ("unnamed", indexed)):
        table.to_parquet(tmp_path / f"{name}.parquet")
        assert series(tmp_path / f"{name}.parquet", length=3).channels == ("v",)


def test_a_frame_in_long_form_names_the_row_without_a_series():
    frame = pandas.DataFrame({"time": [1, 2, 3], "who": ["a", pandas.NA, "b"], "v": 0.0})
    with pytest.raises(UserError, match="Row 1 of the table is of no series"):
        series(frame, item="who", length=1)


def test_without_statsmodels_the_extra_is_named(monkeypatch):
    for name in ("statsmodels", "statsmodels.datasets.co2"):  # also where it has been imported
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r"pip install 'hush\[series\]'"):
        series("co2")


def test_quotes_comments_blank_lines_and_a_mark_of_order(tmp_path):
    text = '\ufeff# a source\r\n"date","say ""v"", now"\r\n"2024-01-01","1"\r\n\r\n2024-01-02,2\r\n'
    source = series(put(tmp_path, text), length=2)
    assert source.channels == ('say "v", now',)
    assert source.read([0])["series"].flatten().tolist() == [1.0, 2.0]


def test_series_that_are_built_in():
    co2 = hush.data.open_source("co2")
    assert co2.shape == (1, 64)
    assert co2.table.values.isnan().sum() == 59
    assert co2.table.values.shape == (1, 2284)
    counts = {"elnino": (1, 732), "sunspots": (1, 309), "macrodata": (12, 203), "stocks": (10, 524)}
    for name, shape in counts.items():
        assert tuple(series(name, length=12).table.values.shape) == shape
    assert series("elnino", length=12).read([0])["series"][0, 0, :2].tolist() == pytest.approx(
        [23.11, 24.20]
    )


def test_options_of_pictures_are_refused_and_their_defaults_are_not():
    assert len(hush.data.open_source("sunspots", length=9, size=None, crop="centre")) == 301
    assert "numbers, not dates" in hush.data.open_source("sunspots").summary()
    with pytest.raises(UserError, match=r"size=8: sunspots holds series"):
        hush.data.open_source("sunspots", size=8)
    with pytest.raises(UserError, match="did you mean stride"):
        series("sunspots", strid=8)


# what is held out


def windows_of(source):
    return source.read(range(len(source)))["series"]


@pytest.mark.parametrize("settings", [{"length": 8}, {"context": 6, "horizon": 2}])
def test_nothing_of_the_future_is_learnt(settings):
    """Each series holds a tell-tale from the first held-out stamp on; no training record has it."""
    telltale, parts = 1e6, []
    for name, count in (("a", 100), ("b", 40), ("c", 9)):
        held = max(round(0.1 * count), settings.get("horizon", 8))
        values = np.arange(count, dtype=float)
        if count > 2 * 8:
            values[-held:] += telltale
        stamps = pandas.date_range("2024", periods=count)
        parts.append(pandas.DataFrame({"date": stamps, "item": name, "v": values}))
    source = series(pandas.concat(parts, ignore_index=True), item="item", **settings)
    train, held_out = split(source, 0.1)
    assert windows_of(train).max() < telltale / 2
    told = windows_of(held_out)[..., settings.get("context", 0) :]
    assert told.min() >= telltale
    learnt = train.read(range(len(train)))
    first = learnt["series"][learnt["item"] == 0]
    assert first.unique().tolist() == list(range(90))
    assert train.digest() != held_out.digest()


def test_the_held_out_are_thinned_evenly_and_parted_again_in_time():
    source = series("co2", length=20)
    _, held_out = split(source, 0.5, most=100)
    assert 50 < len(held_out) <= 100
    starts = [held_out.place(i)[1].start for i in range(len(held_out))]
    assert len(set(np.diff(starts))) == 1
    earlier, later = split(held_out, 0.5)
    last = max(earlier.place(i)[1].stop for i in range(len(earlier)))
    assert last <= min(later.place(i)[1].start for i in range(len(later)))


def test_a_series_too_short_to_hold_out_says_so():
    with pytest.raises(UserError, match="need 400: pass a smaller length"):
        split(series("sunspots", length=200))


def test_reading_ten_thousand_windows_holds_no_more_than_the_series():
    count = 10_127
    frame = pandas.Series(np.arange(count, dtype=float), pandas.date_range("1990", periods=count))
    source = series(frame, length=128)
    assert len(source) == 10_000
    window = source.table.values[:, source.place(5000)[1]]
    assert window.data_ptr() == source.table.values.data_ptr() + 5000 * 4
    for index in range(3):
        source.read([index])
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    total = 0.0
    for start in range(0, len(source), 50):
        total += float(source.read(range(start, start + 50))["series"][:, 0, 0].double().sum())
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert total == sum(range(10_000))
    assert held < 20_000


# what is refused, or mended and said

GOOD = {"date": days(5), "v": [1, 2, 3, 4, 5]}
BAD = {
    "duplicate stamps": (
        table({**GOOD, "date": ["2024-01-01"] * 2 + days(3, "2024-02-01")}),
        "rows 2 and 3 have the same stamp",
    ),
    "text": (table({**GOOD, "v": [1, 2, "high", 4, 5]}), "Row 4 of .* has 'high' in column v"),
    "no value": (table({**GOOD, "w": [""] * 5}), "column w has no value in any row"),
    "too short": (table(GOOD), "5 stamps in its longest series; .* window of 64"),
    "no date": (
        table({**GOOD, "date": [*days(4), "31.12.2024"]}),
        "31.12.2024 in row 6 .* no date",
    ),
    "number, then date": (table({**GOOD, "date": [1, 2, 3, 4, "x"]}), "x in row 6 .* is no number"),
    "no stamp": (table({**GOOD, "date": [*days(4), ""]}), "Row 6 has no stamp"),
    "no time": (table({"a": [1], "b": [2]}), "no column called time, .* only a, b"),
    "infinite": (table({**GOOD, "v": [1, "-inf", 3, 4, 5]}), "Row 3 .* has -inf in column v"),
    "beyond": (table({**GOOD, "v": [1, 2, 3, "1e300", 5]}), r"Row 5 .* has 1e\+300 in column v"),
    "zones": (
        table({**GOOD, "date": [*days(4), "2024-01-05T00:00Z"]}),
        "row 6 .* with a UTC offset, and those before it have none",
    ),
    "lengths": (
        "date,v\n2024-01-01\n",
        "Line 2 of .* has another number of cells .1. than its header .2.",
    ),
    "twice": ("date,v,v\n2024-01-01,1,2\n", "more than one column 'v'"),
    "quotes": ('date,v\n2024-01-01,"1\n', "ends within quotes"),
    "no UTF-8": (b"\xff\xfea\x00,\x00b\x00\n\x001\x00", "cannot be read as CSV in UTF-8"),
    "empty": ("", "is empty"),
    "header alone": ("date,v\n", "has no rows"),
    "nothing to learn": (table({"date": days(2)}), "no column left to learn"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_sentence(tmp_path, name):
    text, said = BAD[name]
    with pytest.raises(UserError, match=said) as error:
        series(put(tmp_path, text))
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 400


def test_bad_columns_and_covariates(tmp_path):
    path = put(tmp_path, table({**GOOD, "c": [1, 2, "", 4, 5], "who": ["a", "a", "b", "", "b"]}))
    cases = [
        ({"values": "v", "covariates": "c"}, "covariate c is missing in 1 rows, first in row 4"),
        ({"values": "v", "static": "c"}, "static column c has 4 values"),
        ({"values": "vv"}, "no column vv; did you mean v"),
        ({"values": "v", "covariates": "v"}, "named twice"),
        ({"values": "v", "item": "who"}, "Row 5 .* is of no series"),
        ({"values": "v", "calendar": "hours"}, "did you mean hour"),
        ({"length": 0}, "length=0"),
        ({"labels": True}, "name their column in item"),
        ({"context": 4}, "expected both or neither"),
        ({"context": 4, "horizon": 1, "length": 6}, "leave length out"),
        ({"delimiter": ""}, "expected one sign"),
    ]
    for settings, said in cases:
        with pytest.raises(UserError, match=said):
            series(path, **{"length": 2, **settings})


def test_constant_columns_and_unsorted_rows_are_said(tmp_path):
    text = table({"date": days(4)[::-1], "v": [4, 3, 2, 1], "w": [7, 7, "", 7]})
    source = series(put(tmp_path, text), length=4)
    assert source.read([0])["series"][0, 0].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert "column w is 7 throughout" in source.summary()
    assert "were sorted" in source.summary()


def test_numbers_have_no_calendar(tmp_path):
    with pytest.raises(UserError, match="are numbers, and have no calendar"):
        series("sunspots", calendar="month")


def test_aware_stamps_of_pandas_keep_the_wall(tmp_path):
    stamps = pandas.date_range("2024-10-26 20:00", periods=12, freq="h", tz="Europe/Paris")
    source = series(pandas.Series(np.arange(12.0), stamps), length=12, calendar="hour")
    record = source.read([0])
    assert record["time"][0].tolist() == list(range(12))
    sine, cosine = record["covariates"][0]
    wall = (torch.atan2(sine, cosine) * 24 / (2 * math.pi)) % 24
    wanted = [float(stamp.hour) for stamp in stamps]
    torch.testing.assert_close(wall, torch.tensor(wanted), atol=1e-4, rtol=0)
    assert stamps[0].astimezone(UTC).hour == 18

"""What is in data: planted faults are found and nothing else; what is chosen, by exact answers."""

import io
import json
import math
import shlex
import shutil

import numpy as np
import pandas
import pytest
import torch
from pictures import write
from PIL import Image

import hush
from hush.app import cli
from hush.app.automatic import placed
from hush.app.kinds import meant
from hush.app.training import _columns, parsed
from hush.data import InMemory, open_source
from hush.data.inspected import inspected_pictures, inspected_series
from hush.data.inspected.alike import near, thumbnails
from hush.data.inspected.regular import period
from hush.data.series_options import SeriesOptions
from hush.errors import UserError
from hush.inspection import cost, inspect
from hush.inspection.built import built
from hush.inspection.candidates import Terms
from hush.inspection.chosen import chosen
from hush.inspection.noise import measured, reach, rounded
from hush.training.measuring import fit

SMALL = {"width": 8, "multipliers": (1,), "blocks": 1, "attention": (), "chain": 20}
SIDE = 40


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One timed step is enough to test."""
    monkeypatch.setattr(cost, "ENOUGH", 0.0)
    monkeypatch.setattr(cost, "TIMED", 1)


def soft(seed, side=SIDE, channels=3):
    """A picture without noise: an 8x8 one, enlarged."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, channels), dtype=np.uint8)
    image = Image.fromarray(small.squeeze())
    return image.resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path):
    """120 sound pictures of two classes."""
    root = tmp_path / "photos"
    for i in range(120):
        write(root / "ab"[i % 2] / f"{i:03d}.png", soft(i))
    return root


def found(root, **options):
    return inspected_pictures(open_source(root, skip_broken=True, **options)).findings


def test_of_sound_pictures_there_is_nothing_to_say(photos):
    assert found(photos) == ()
    assert inspected_pictures(hush.data.digits()).findings == ()


def cut(root):
    path = root / "a" / "000.png"
    path.write_bytes(path.read_bytes()[:-3000])
    return "a/000.png"


def text(root):
    (root / "a" / "000.png").write_text("no picture at all")
    return "a/000.png: its content is of no picture format known"


def twice(root):
    Image.open(root / "a" / "000.png").save(root / "a" / "again.bmp")
    return "a/000.png = a/again.bmp"


def torn(root):
    shutil.copy(root / "a" / "000.png", root / "b" / "same.png")
    return "a/000.png = b/same.png"


def saved_again(root):
    Image.open(root / "a" / "000.png").save(root / "a" / "copy.jpg", quality=75)
    return "a/000.png ~ a/copy.jpg"


def resized(root):
    image = Image.open(root / "a" / "000.png").resize((2 * SIDE, 2 * SIDE))
    image.save(root / "a" / "copy.png")
    return "a/000.png ~ a/copy.png"


def deep(root):
    grey = np.asarray(soft(999).convert("L"), dtype=np.uint16) * 257
    Image.fromarray(grey).save(root / "a" / "deep.png")
    return "a/deep.png"


def alone(root):
    write(root / "c" / "one.png", soft(999))
    return "c: 1"


def flat(root):
    write(root / "a" / "flat.png", np.full((SIDE, SIDE, 3), 77, np.uint8))
    return "a/flat.png"


def small(root):
    write(root / "a" / "small.png", soft(999, side=16))
    return "a/small.png"


def long(root):
    write(root / "a" / "long.png", soft(999, side=200).crop((0, 0, 200, 60)))
    return "a/long.png"


def unread(root):
    (root / "a" / "photo.heic").write_bytes(b"heic")
    return "a/photo.heic"


@pytest.mark.parametrize(
    ("plant", "severity", "what"),
    [
        (cut, "error", "1 file cannot be read as a picture"),
        (text, "error", "1 file cannot be read as a picture"),
        (twice, "warning", "1 picture a second time, the same to the pixel"),
        (torn, "warning", "1 picture in more than one class"),
        (saved_again, "note", "1 picture nearly like another"),
        (resized, "note", "1 picture nearly like another"),
        (deep, "warning", "1 picture of 16 bits among 8 bits"),
        (alone, "warning", "1 class of fewer than 10 pictures"),
        (flat, "warning", "1 picture of one colour throughout"),
        (small, "warning", f"1 picture smaller than {SIDE}x{SIDE}, and blurred by it"),
        (long, "warning", "1 picture so long that a crop takes more than half"),
        (unread, "warning", "of a kind that is not read: 1 .heic"),
    ],
)
def test_a_planted_fault_is_found_and_nothing_else(photos, plant, severity, what):
    where = plant(photos)
    findings = found(photos, size=SIDE)
    (one,) = [finding for finding in findings if finding.what == what]
    assert one.severity == severity
    assert any(place.startswith(where) for place in one.where)
    # The deep one is grey too, and what is in two classes is there twice.
    others = {finding.what for finding in findings} - {what}
    allowed = {deep: "1 picture grey among 120 others", torn: "1 picture a second time, the same"}
    assert all(each.startswith(allowed.get(plant, "?")) for each in others)


def test_a_cut_file_is_told_with_the_decoders_own_reason(photos):
    cut(photos)
    (one,) = found(photos)
    assert "truncated" in one.where[0]


def test_pictures_are_decoded_once_and_no_more_than_asked(photos, monkeypatch):
    from hush.data import encoded

    opened = []
    decode = encoded.decode
    monkeypatch.setattr(encoded, "decode", lambda *a, **k: opened.append(a[1]) or decode(*a, **k))
    source = open_source(photos, skip_broken=True)
    report = inspected_pictures(source, most=50)
    assert len(opened) == len(set(opened)) == 40  # every third
    assert "of which 40 were opened" in report.facts[0].says
    source.read(range(0, 120, 3))
    assert len(opened) == 40


def test_likeness_is_judged_by_what_is_usual_here():
    base = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    noise = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    film = base + 0.004 * noise  # all alike, as frames are: none is nearer than usual
    assert near(thumbnails(film)) == []
    mixed = torch.cat((noise, film[:1], film[1:2]))
    assert near(thumbnails(mixed)) == [(40, 41)]


# Series


def table(count=400):
    stamps = pandas.date_range("2020-01-01", periods=count, freq="D")
    wave = np.sin(2 * np.pi * np.arange(count) / 7)
    noise = np.random.default_rng(0).normal(size=(2, count))
    return pandas.DataFrame({"time": stamps, "x": wave + 0.1 * noise[0], "y": noise[1]})


def told(frame, tmp_path):
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    return inspected_series(path, SeriesOptions())[0]


def test_of_sound_series_there_is_nothing_to_say(tmp_path):
    report = told(table(), tmp_path)
    assert report.findings == ()
    facts = dict(report.facts)
    assert facts["series"] == "1 of 2 channels, 400 stamps"
    assert facts["from, to"] == "2020-01-01 to 2021-02-03"
    assert facts["spacing"] == "a day, even"
    assert facts["season"] == "7 stamps"
    assert facts["missing"] == "nothing"


def absent(frame):
    frame["z"] = np.nan
    return frame


def constant(frame):
    frame["z"] = 3.5
    return frame


def words(frame):
    frame["z"] = ["high"] * len(frame)
    return frame


def same_column(frame):
    frame["z"] = frame.x
    return frame


def sparse(frame):
    frame["z"] = frame.y.where(np.arange(len(frame)) % 4 == 0) + 1.0
    return frame


def sentinel(frame):
    frame.loc[[5, 90, 200], "y"] = -999.0
    return frame


def repeated(frame):
    return pandas.concat([frame.iloc[:11], frame.iloc[10:]])


def hole(frame):
    return frame.drop(index=range(100, 130))


def unsorted(frame):
    order = np.arange(len(frame))
    order[[20, 50]] = order[[50, 20]]
    return frame.iloc[order]


@pytest.mark.parametrize(
    ("plant", "severity", "what", "where"),
    [
        (absent, "error", "1 column without any value", "z"),
        (constant, "warning", "column z is 3.5 throughout", ""),
        (words, "error", "column z is no column of numbers", "Row 2 of "),
        (same_column, "warning", "1 column the same as another", "x = z"),
        (sparse, "warning", "column z misses 75 % of its values", ""),
        (sentinel, "warning", "column y has -999 again and again, far from all else", ""),
        (repeated, "error", "1 stamp twice", "rows 12 and 13"),
        (hole, "warning", "1 hole between stamps", "31 steps before row 102"),
        (unsorted, "note", "rows are not in the order of time", ""),
    ],
)
def test_a_planted_fault_of_series_is_found_and_nothing_else(
    tmp_path, plant, severity, what, where
):
    (one,) = told(plant(table()), tmp_path).findings
    assert one.severity == severity
    assert one.what.startswith(what)
    assert not where or one.where[0].startswith(where)


@pytest.mark.parametrize("season", [5, 12, 52])
def test_a_season_is_found_under_a_trend_noise_and_gaps(season):
    stamps = np.arange(8 * season)
    noise = np.random.default_rng(season).normal(size=len(stamps))
    row = np.sin(2 * np.pi * stamps / season) + 0.05 * stamps + 0.3 * noise
    row[::9] = np.nan
    assert abs(period(row[None], [0, len(row)]) - season) <= 1
    assert period(noise[None], [0, len(row)]) is None


def test_columns_that_cannot_be_learnt_are_left_out_and_stamps_twice_are_refused(tmp_path):
    path = tmp_path / "table.csv"
    words(absent(table())).to_csv(path, index=False)
    report = inspect(path, width=8, depth=1, heads=1, steps=4)
    assert report.findings
    assert "column z" in report.findings[0].what
    assert report.settings["values"] == ("x", "y")
    assert report.settings["length"] == 21  # three weeks
    assert report.source.channels == ("x", "y")
    repeated(table()).to_csv(path, index=False)
    report = inspect(path)
    assert report.choices == ()
    assert "same stamp" in report.refused
    with pytest.raises(UserError, match="same stamp"):
        report.build()


# Choices


def levels(share, count=64, side=4):
    """Black and white pictures of which that share of pixels is white, one all black, one all
    white."""
    white = round(share * count * side * side)
    pixels = torch.zeros(count * side * side)
    pixels[:white] = 1.0
    return InMemory(pixels.reshape(count, 1, side, side), levels=256)


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_the_deviation_and_the_noise_are_those_of_known_data(share):
    source = levels(share)
    system = hush.systems.ddpm(source.shape, backbone=hush.networks.Backbone(**_network()))
    fit(system.codec, system, source, 0)
    noise = measured(system, source)
    assert noise.deviation == pytest.approx(2 * math.sqrt(share * (1 - share)), abs=1e-12)
    assert noise.farthest == pytest.approx(2 * math.sqrt(16))  # all black, all white
    assert noise.spacing == pytest.approx(2 / 255)
    assert noise.least == pytest.approx(2 / 255 / math.sqrt(12))


def _network():
    return {"width": 8, "multipliers": (1,), "blocks": 1, "attention": ()}


def test_edm_gets_the_noise_that_hides_its_data():
    source, said = levels(0.5), {**_network(), "batch": 4, "steps": 4}
    (noise,) = [c for c in chosen(source, Terms.of("edm", said, 1.0, None)) if "noise" in c.name]
    # σ_data is made .5 of pixels ±1: half the distance, but for the pictures held out.
    assert noise.settings == {"sigma_max": pytest.approx(4.0, rel=0.05)}
    system = built("edm", source, {**said, **noise.settings})
    assert reach(system)[1] == pytest.approx(noise.settings["sigma_max"])


def test_a_chain_too_quiet_for_the_data_is_made_louder():
    source = levels(0.5, count=8, side=128)  # 256 apart; the paper's chain reaches 157
    said = {**_network(), "batch": 2, "steps": 2}
    (noise,) = [c for c in chosen(source, Terms.of("ddpm", said, 1.0, None)) if "noise" in c.name]
    largest = reach(built("ddpm", source, {**said, **noise.settings}))[1]
    assert 256.0 <= largest <= 1.5 * 256.0


def test_rounding_goes_up_and_keeps_what_is_round():
    assert [rounded(value) for value in (7.312, 0.0211, 80.0, 4.0)] == [7.4, 0.022, 80.0, 4.0]


def test_memory_grows_as_it_was_measured_and_the_part_is_the_largest_that_fits():
    source = hush.data.digits()
    system = built("ddpm", source, SMALL)
    found = cost.footprint(system, source, system.recipe)
    with cost._learning(system, source, hush.Recipe(batch=32)) as (trainer, record):
        kept = cost._kept(trainer, record)
    copies = cost.COPIES * 4 * found.weights
    assert found.bytes(32) == pytest.approx(copies + kept, rel=0.02)
    for memory in (found.bytes(5) / cost.SHARE, found.bytes(40) / cost.SHARE):
        part = found.part(64, memory)
        assert 64 % part == 0
        assert found.bytes(part) <= cost.SHARE * memory < found.bytes(2 * part)
    assert found.part(64, found.fixed) is None


def test_a_batch_that_does_not_fit_is_computed_in_parts():
    source = hush.data.digits()
    said = {**SMALL, "steps": 4}
    found = cost.footprint(built("ddpm", source, said), source, hush.Recipe())
    memory = found.bytes(16) / cost.SHARE
    report = inspect("digits", "ddpm", memory=memory, **said)
    assert report.settings["batch"] == 64
    assert report.settings["accumulate"] == 4
    assert report.build().recipe.accumulate == 4


def test_a_larger_network_is_taken_only_where_the_hours_allow():
    source = InMemory(torch.rand(20_000, 1, 8, 8), levels=256)
    short, long = (
        {
            k: v
            for c in chosen(source, Terms.of("ddpm", {"batch": 4, "steps": 100}, hours, None))
            for k, v in c.settings.items()
        }
        for hours in (1e-6, 1e3)
    )
    assert (short["width"], short["blocks"]) == (32, 1)
    assert (long["width"], long["blocks"]) > (32, 1)


def test_the_command_takes_the_very_choices():
    report = inspect("digits", "ddpm", **SMALL)
    words = shlex.split(report.command("runs/x"))[3:]
    kind = meant("ddpm", words)
    blank = parsed("ddpm", kind, words[:4], _columns(), "hush train ddpm")
    line = parsed("ddpm", kind, words, _columns(), "")
    assert vars(line) == vars(placed(blank, report.settings))
    assert report.command().startswith("hush train ddpm --data digits --out runs/digits --width 8")
    assert report.automatic().endswith("--attention --chain 20 --auto")


def test_a_report_is_read_in_eighty_columns_and_as_html(photos):
    cut(photos)
    report = inspect(photos, most=40, size=16, steps=2, **SMALL)
    lines = repr(report).splitlines()
    assert max(map(len, lines)) <= 80
    assert any("1 file cannot be read" in line for line in lines)
    assert report.settings["skip_broken"] is True
    assert "<td>normaliser</td>" in report._repr_html_()
    assert report.build().arguments["shape"] == (3, 16, 16)


def test_pictures_are_no_larger_than_they_are_and_the_hours_allow(photos):
    said = {**SMALL, "steps": 10, "batch": 2}
    assert inspect(photos, hours=1e3, **said).settings["size"] == 32  # the pictures have 40
    for path in photos.rglob("*.png"):
        Image.open(path).resize((70, 90)).save(path)
    assert inspect(photos, hours=1e3, **said).settings["size"] == 64
    assert inspect(photos, hours=1e-9, **said).settings["size"] == 32


# The command line

AUTO = shlex.split(
    "train ddpm --data digits --width 8 --multipliers 1 --blocks 1 --attention --chain 20 "
    "--batch 8 --steps 6 --save-every 3 --threads 1 --auto --out"
)


def test_choices_are_stored_and_a_run_goes_on_with_them_to_the_bit(tmp_path, monkeypatch, capsys):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    cli.run([*AUTO, str(whole)])
    assert "hush would choose" in capsys.readouterr().err
    record = json.loads((whole / "system.json").read_text())
    chosen = {key: v for choice in record["choices"] for key, v in choice["settings"].items()}
    assert all(choice["why"] for choice in record["choices"])
    # The user's word is taken, the rest is chosen, and the run has both.
    assert (chosen["batch"], chosen["steps"], chosen["width"], chosen["chain"]) == (8, 6, 8, 20)
    assert record["recipe"]["decay"] == chosen["decay"] == "cosine"
    assert record["arguments"]["backbone"]["dropout"] == chosen["dropout"]
    assert hush.load(whole).arguments["chain"] == 20

    shutil.copytree(whole, broken)  # as if it had been stopped after three steps
    shutil.rmtree(broken / "state" / "000000006")
    monkeypatch.setattr(hush.inspection, "inspect", lambda *_, **__: pytest.fail("measured again"))
    cli.run(["train", "ddpm", "--data", "digits", "--threads", "1", "--auto", "--out", str(broken)])
    for name in ("system.json", "model.safetensors", "ema.safetensors", "metrics.jsonl"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()


def test_what_is_said_later_wins_and_why_is_kept(tmp_path):
    run = tmp_path / "run"
    cli.run([*AUTO, str(run)])
    before = json.loads((run / "system.json").read_text())["choices"]
    cli.run([*AUTO, str(run), "--steps", "8"])
    record = json.loads((run / "system.json").read_text())
    assert record["recipe"]["steps"] == 8
    steps = {c["name"]: c for c in record["choices"]}["steps"]
    assert steps["settings"]["steps"] == 8
    assert [c["name"] for c in record["choices"]] == [c["name"] for c in before]


def test_a_run_begun_by_hand_is_not_taken_over(tmp_path):
    run = tmp_path / "run"
    hand = [word for word in AUTO if word != "--auto"]
    cli.run([*hand, str(run)])
    with pytest.raises(UserError, match="begun without --auto"):
        cli.run([*AUTO, str(run)])


@pytest.mark.parametrize(
    ("data", "flags", "words"),
    [
        ("digits", "--width 8 --blocks 1 --multipliers 1 --steps 4", ["1,797", "normaliser"]),
        ("elnino", "--width 8 --depth 1 --heads 1 --steps 4", ["36 stamps", "PerChannel"]),
    ],
)
def test_hush_inspect_tells_and_writes_json(data, flags, words, tmp_path, capsys):
    out = tmp_path / "report.json"
    cli.run(["inspect", data, *flags.split(), "--json", str(out)])
    said = capsys.readouterr().out
    assert all(word in said for word in (*words, "hush train", "--auto"))
    report = json.loads(out.read_text())
    assert report["choices"]
    assert report["command"].startswith("hush train")


def test_hush_inspect_of_a_folder(photos, capsys):
    twice(photos)
    cli.run(["inspect", str(photos), "--system", "edm", "--size", "16", "--steps", "2"])
    said = capsys.readouterr().out
    assert "1 picture a second time" in said
    assert "for edm" in said


def test_data_of_another_kind_are_refused_in_words():
    with pytest.raises(UserError, match="holds series, not pictures"):
        inspect("elnino", "sr3")
    with pytest.raises(UserError, match="holds pictures, not series"):
        inspect("digits", "csdi")


def test_jpeg_saved_again_is_seen_at_every_quality(photos):
    for quality in (50, 90):
        held = io.BytesIO()
        Image.open(photos / "b" / "001.png").save(held, "JPEG", quality=quality)
        (photos / "b" / f"q{quality}.jpg").write_bytes(held.getvalue())
    (one,) = found(photos)
    assert one.what == "2 pictures nearly like another"

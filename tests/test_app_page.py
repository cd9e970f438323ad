"""The page of `hush app`, without a browser: what it takes, what it walks, what it offers."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro
from app_run import runs  # noqa: F401
from PIL import Image

from hush import systems
from hush.app import cli, detecting, purifying, restoring, sampling, serving, stretches, telling
from hush.app.web import asking, asking_tab, curves, guard, wishes
from hush.app.web.children import Child
from hush.app.web.desk import Desk
from hush.app.web.sampling_tab import OWN, kept, wish
from hush.app.web.training import Trainings, Wanted, trainable
from hush.app.web.verbs import draws, verbs
from hush.app.web.walking import FRAMES, Trajectory, recorded
from hush.errors import UserError
from hush.networks import Backbone
from hush.rng import Streams
from hush.samplers import State
from hush.samplers.grids import Uniform
from hush.schedules import EDM, Level, Tabulated, VarianceExploding

SMALL = Backbone(width=8, multipliers=(1,), blocks=1, attention=())
CONFIG = (tyro.conf.FlagCreatePairsOff,)


@pytest.fixture(scope="module")
def desk(runs):  # noqa: F811
    desk = Desk(guard.Runs(runs))
    yield desk
    desk.close()


def walk(steps, ended=None):
    """States of a walk that counts."""
    rng = Streams.of(0, 1)
    try:
        for step in range(steps + 1):
            level = Level(1 - step / steps, step / steps, 1 - step / steps)
            yield State(torch.full((1, 1), step), level, rng, (), steps - step, steps)
    finally:
        if ended is not None:
            ended.append(step)


def go_through(states, stopped=lambda: False, pause=0.0):
    kept_ = Trajectory()
    return list(recorded(states, lambda state: state.x.clone(), stopped, kept_, pause)), kept_


def test_without_gradio_one_sentence_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'hush\[app\]'"):
        cli.run(["app", str(tmp_path)])


def test_a_file_in_place_of_a_folder_is_told(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(UserError, match="is a file"):
        cli.run(["app", str(tmp_path / "x")])


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("words.png", b"these are words", "words.png cannot be read as a picture"),
        ("picture.exe", b"MZ", "does not end as a picture"),
        ("huge.png", None, "at most 16 MiB"),
    ],
)
def test_an_upload_that_is_no_picture_is_refused(tmp_path, name, content, sentence):
    file = tmp_path / name
    file.write_bytes(content or b"")
    if content is None:
        with file.open("r+b") as hole:
            hole.truncate(guard.BYTES + 1)
    with pytest.raises(UserError, match=sentence):
        guard.picture(file)


def test_a_picture_of_too_many_pixels_is_refused_by_its_head_alone(tmp_path):
    file = tmp_path / "wide.png"
    Image.new("1", (2048, 2049)).save(file)
    with pytest.raises(UserError, match="2,048 x 2,049 pixels"):
        guard.picture(file)
    Image.new("1", (2048, 2048)).save(file)
    assert guard.picture(file) == file
    with pytest.raises(UserError, match="does not end as a table"):
        guard.table(file)


def test_names_of_runs_never_lead_out_of_their_folder(tmp_path):
    inside, outside = tmp_path / "runs", tmp_path / "other"
    for run in (inside / "a", inside / "deep" / "b", inside / ".hidden", outside):
        run.mkdir(parents=True)
        (run / "system.json").write_text("{}")
    (inside / "link").symlink_to(outside)
    known = guard.Runs(inside)
    assert sorted(known.names()) == ["a", "deep/b"]
    assert known.path("deep/b") == inside / "deep" / "b"
    for name in ("../other", "link", str(outside), "a/../../other", "", "."):
        with pytest.raises(UserError):
            known.path(name)
        with pytest.raises(UserError):
            known.new(name)
    assert known.new("c") == inside / "c"
    alone = guard.Runs(inside / "a")
    assert alone.names() == ["a"]
    assert alone.path("a") == inside / "a"
    with pytest.raises(UserError, match="alone"):
        alone.new("c")


@pytest.mark.parametrize("steps", [50, 1000])
def test_a_walk_is_stopped_between_two_steps_and_what_it_did_is_kept(steps):
    ended, asked = [], iter([False] * 7 + [True] * 99)
    moments, kept_ = go_through(walk(steps, ended), lambda: next(asked))
    assert ended == [7]
    places = [frame.step for frame in kept_.frames]
    assert places == (list(range(8)) if steps == 50 else [0, 7])
    assert not kept_.over
    assert not moments[-1].over


@pytest.mark.parametrize("steps", [1, 2, 60, 61, 100, 1000])
def test_frames_are_bounded_and_evenly_spread_from_noise_to_data(steps):
    _, kept_ = go_through(walk(steps))
    places = [frame.step for frame in kept_.frames]
    assert kept_.over
    assert places[0] == 0
    assert places[-1] == steps
    assert len(places) == min(steps + 1, FRAMES)
    assert max(np.diff(places)) <= -(-steps // (FRAMES - 1))
    assert [int(frame.data) for frame in kept_.frames] == places


def test_moments_come_no_faster_than_they_may_and_the_last_always_comes():
    moments, _ = go_through(walk(300), pause=60.0)
    assert [moment.frame.step for moment in moments] == [0, 300]
    assert [moment.over for moment in moments] == [False, True]


@pytest.mark.parametrize(
    "asked",
    [
        (12, OWN, OWN, 7, 3, [], 1),
        (5, "multistep:order=2,basis=data", "karras", 6, 0, ["3", "7"], 2.5),
    ],
)
def test_what_is_drawn_here_is_what_the_command_line_writes_bit_for_bit(
    desk, tmp_path, monkeypatch, asked
):
    monkeypatch.chdir(desk.runs.root.parent)
    system = desk.system("digits")
    options = wish(system, Path(desk.runs.root.name) / "digits", *asked)
    drawn = wishes.drawn(options, system)
    *_, last = recorded(drawn.states(), drawn.seen, lambda: False, Trajectory())
    archive = kept(desk, options, system, last.frame.data)
    here = archive.with_suffix("")
    out = tmp_path / "there"
    cli.run([*wishes.line("sample", options), "--out", str(out)])
    names = sorted(path.name for path in out.iterdir())
    assert names == sorted(path.name for path in here.iterdir())
    assert len(names) == asked[0] + 1
    for name in names:
        assert (here / name).read_bytes() == (out / name).read_bytes(), name


def test_a_painted_hole_is_filled_as_the_command_line_fills_it(desk, tmp_path):
    system, folder = desk.system("digits"), desk.new_folder()
    picture = tmp_path / "given.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(picture)
    verb = next(verb for verb in verbs(system) if verb.name == "inpaint")
    layer = np.zeros((384, 384, 4), dtype=np.uint8)
    layer[96:192, 96:240, 3] = 255  # rows 2 and 3, columns 2 to 4
    run = desk.runs.path("digits")
    asked = asking.options(verb, run, picture, folder, 5, {"count": 2, "steps": 3})
    place = desk.place("nobody", "ask")
    drawn, named, saved = asking.walked(place, verb, asked, system, {"layers": [layer]}, folder)
    *_, last = recorded(drawn.states(), drawn.seen, lambda: False, Trajectory())
    saved(last.frame.data)
    hole = np.asarray(Image.open(folder / "mask.png")) > 0
    assert [tuple(x) for x in np.argwhere(hole)] == [(r, c) for r in (2, 3) for c in (2, 3, 4)]
    given = last.frame.data.squeeze(1).mul(255).round().byte().numpy()
    assert (given[:, ~hole] == np.asarray(Image.open(picture))[~hole]).all()
    out = tmp_path / "there"
    line = wishes.line("inpaint", replace(named, run=run, inputs=(picture,), out=out))
    cli.run([word if word != "mask.png" else str(folder / "mask.png") for word in line])
    for file in sorted(out.iterdir()):
        assert file.read_bytes() == (folder / file.name).read_bytes(), file.name
    with pytest.raises(UserError, match="Paint"):
        asking.mask({"layers": [np.zeros_like(layer)]}, (8, 8))


def test_verbs_are_those_that_a_run_answers(desk):
    def names(system):
        return {verb.name for verb in verbs(system)}

    assert names(desk.system("digits")) == {"upscale", "inpaint", "uncrop", "detect", "purify"}
    colour = systems.ddpm((3, 8, 8), (), SMALL)
    assert names(colour) == {"upscale", "colourise", "inpaint", "uncrop", "detect", "purify"}
    holes = systems.palette((3, 8, 8), tasks=("inpaint",), backbone=SMALL)
    assert names(holes) == {"inpaint", "uncrop"}
    assert names(systems.sr3((3, 8, 8), factor=2, backbone=SMALL)) == {"upscale"}
    assert names(systems.csdi((1, 16), hide="mix")) == {"impute", "forecast", "detect"}
    ahead = systems.csdi((1, 16), hide="forecast", horizon=4)
    assert names(ahead) == {"forecast", "detect"}
    assert names(systems.ddpm((1, 16), (), SMALL)) == set()
    assert draws(colour) is sampling.Options
    assert draws(holes) is None


def test_a_run_that_cannot_be_loaded_says_why_in_place_of_its_verbs(runs, tmp_path):  # noqa: F811
    path = tmp_path / "newer"
    shutil.copytree(runs / "digits", path)
    record = json.loads((path / "system.json").read_text())
    record["arguments"]["unheard_of"] = 1
    (path / "system.json").write_text(json.dumps(record))
    desk = Desk(guard.Runs(tmp_path))
    try:
        words, *settings = asking_tab.suited(desk, "newer", None)
    finally:
        desk.close()
    assert "does not know: unheard_of" in words
    assert all(not update["visible"] for update in settings)


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("sample", sampling.Options(Path("a b"), count=3, seed=0, classes="1,2", guidance=0.5)),
        ("inpaint", restoring.Inpaint(Path("r"), (Path("x.png"),), Path("o"), mask=Path("m.png"))),
        ("uncrop", restoring.Uncrop(Path("r"), (Path("x.png"),), Path("o"), seed=0, right=4)),
        ("upscale", restoring.Upscale(Path("r"), (Path("x.png"),), Path("o"), exact=True)),
        ("detect", detecting.Options(Path("r"), (Path("x.png"),), Path("o"), depth=0.5)),
        ("purify", purifying.Options(Path("r"), (Path("x.png"),), Path("o"), by="guided")),
        ("forecast", telling.Forecast(Path("r"), "x.csv", Path("o.csv"), horizon=9, seed=1)),
        ("detect", stretches.Detect(Path("r"), "x.csv", Path("o.csv"), samples=9)),
    ],
)
def test_a_line_says_all_that_its_options_say(verb, options):
    first, *words = wishes.line(verb, options)
    assert first == verb
    assert tyro.cli(type(options), args=words, config=CONFIG) == options


def test_a_verb_that_fails_in_its_own_process_ends_with_its_sentence(desk, tmp_path):
    system = desk.system("digits")
    verb = next(verb for verb in verbs(system) if verb.name == "detect")
    asked = asking.options(verb, Path("nowhere"), tmp_path / "x.png", tmp_path / "o", 1, {})
    with pytest.raises(UserError, match="nowhere is not a run"):
        list(asking.by_child(desk.place("nobody", "ask"), desk, verb, asked, tmp_path))


def test_a_training_that_is_stopped_has_saved_itself(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    trainings, out = Trainings(logs), tmp_path / "run"
    wanted = Wanted("ddpm", "digits", out, steps=10**6, batch=8, rate=1e-3)
    child = trainings.begin(wanted)
    with pytest.raises(UserError, match="already"):
        trainings.begin(wanted)
    while child.status is None and not list(out.glob("tensorboard/*")):
        time.sleep(0.1)
    assert trainings.close() == []
    assert child.status == 0, child.said()
    assert (out / "ema.safetensors").exists()
    recipe = json.loads((out / "system.json").read_text())["recipe"]
    assert recipe["steps"] == 10**6
    assert "Stopped and saved at step" in child.said()


def test_a_training_that_outlives_the_page_is_left_alone(tmp_path):
    child = Child(["systems"], tmp_path / "log", outlives=True)
    trainings = Trainings(tmp_path)
    trainings._children[tmp_path] = child
    assert trainings.close() in ([], [tmp_path])
    assert not child.asked
    child.wait()
    assert child.status == 0


@pytest.mark.parametrize("data", ["", "  ", "--out=elsewhere"])
def test_data_that_would_be_a_flag_are_refused(data, tmp_path):
    with pytest.raises(UserError, match="Name the data"):
        Wanted("ddpm", data, tmp_path, 1, 1, 1e-3).words()


def test_systems_that_begin_from_another_run_are_not_offered():
    assert "ddpm" in trainable()
    assert "ldm" not in trainable()


def test_metrics_hold_the_loss_of_those_who_know_no_network(desk):
    *_, last = curves.metrics(desk.runs.path("digits"))
    levels = [name.partition("/")[2] for name in last if name.startswith("held_out/0")]
    for key in curves.YARDSTICKS:
        assert [name for name in last if name.startswith(f"{key}/")] == [
            f"{key}/{level}" for level in levels
        ]
    assert curves.losses([last]).count("<img") == 2


@pytest.mark.parametrize("law", [Tabulated.cosine(), EDM(), VarianceExploding()])
def test_the_curves_of_schedules_without_bounds_can_be_drawn_too(law):
    assert curves.schedule(law, Uniform(4)(law)).count("<img") == 2

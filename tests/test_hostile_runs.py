"""Run folders as nobody should have to meet them: each is refused in words, and left as it was."""

import json
import os
import pickle
import shutil
import stat
import struct
import sys

import pytest
import safetensors.torch
import torch

import hush
from hush import systems
from hush.app import cli
from hush.data import InMemory
from hush.errors import UserError
from hush.networks import Backbone
from hush.rng import Streams
from hush.training.files import checksum

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
MARK = "EXECUTED_BY_HUSH"  # in the environment, where a file managed to run something
SHORT = {"steps": 1, "batch": 4, "warmup": 1, "workers": 0, "held_out": 0.2, "show": False}
SYSTEM, AVERAGE = "system.json", "ema.safetensors"
WIDE, NARROW = 10**9, Backbone(width=8, multipliers=(1,), blocks=1, attention=())


def source():
    images = (Streams.of(1, 20).uniform((1, 4, 4)) * 16).round() / 16
    return InMemory(images.float(), torch.arange(20) % 2, levels=17)


def model():
    torch.manual_seed(3)
    return systems.ddpm((1, 4, 4), ("0", "1"), NARROW, chain=20)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    out = tmp_path_factory.mktemp("good") / "run"
    hush.train(model(), source(), out, **SHORT)
    return out


@pytest.fixture
def run(good, tmp_path):
    return shutil.copytree(good, tmp_path / "run", symlinks=True)


def seen(folder):
    """All that lies in a folder, without following or opening anything odd."""
    found = {}
    for path in sorted(folder.rglob("*")):
        kind = path.lstat()
        plain = stat.S_ISREG(kind.st_mode)
        found[path] = (stat.S_IFMT(kind.st_mode), path.read_bytes() if plain else b"")
    return found


class Trap:
    """Its pickle runs something when it is opened."""

    def __reduce__(self):
        return os.putenv, (MARK, "1")


def record(run, **changes):
    whole = json.loads((run / SYSTEM).read_text())
    (run / SYSTEM).write_text(json.dumps({**whole, **changes}))


def arguments(run, **changes):
    whole = json.loads((run / SYSTEM).read_text())["arguments"]
    record(run, arguments={**whole, **changes})


def network(run, **changes):
    whole = json.loads((run / SYSTEM).read_text())["arguments"]["backbone"]
    arguments(run, backbone={**whole, **changes})


RECORDS = {
    "empty": b"",
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "a text": b'"ddpm"',
    "no arguments": b'{"name": "ddpm"}',
    "no name": b'{"arguments": {}}',
    "not UTF-8": b'{"name": "dd\xffpm", "arguments": {}}',
    "UTF-16": '{"name": "ddpm", "arguments": {}}'.encode("utf-16"),
    "zeros": b"\0" * 100,
    "deep": b"[" * 200_000,
    "deep in the arguments": b'{"name": "ddpm", "arguments": {"shape": '
    + b"[" * 900
    + b"]" * 900
    + b"}}",
    "huge": b'{"name": "' + b"x" * 20_000_000 + b'", "arguments": {}}',
    "a number too long": b'{"name": "ddpm", "arguments": {"chain": ' + b"9" * 5000 + b"}}",
    "cut off": b'{"name": "ddpm", "arguments": {"sha',
    "pickled": pickle.dumps(Trap()),
}
NAMES = ["os.system", "../../x", "__init__", "index", "TABLE", "", "ddpm ", "x" * 10**5, 3, None]
NAMES += [["ddpm"], {"a": 1}, True, "ddpm\0", "analytic_dpm", "hush.systems.ddpm", "\ud800"]
ARGUMENTS = {
    "unknown": {"exec": "import os"},
    "a recipe": {"recipe": "x"},
    "no shape": {"shape": []},
    "a flat shape": {"shape": [4]},
    "a shape of text": {"shape": "144"},
    "a shape of nothing": {"shape": None},
    "a negative shape": {"shape": [-1, 4, 4]},
    "an empty shape": {"shape": [0, 4, 4]},
    "a broken shape": {"shape": [1, 4.5, 4]},
    "a shape of truths": {"shape": [1, True, 4]},
    "an enormous shape": {"shape": [10**12, 4, 4]},
    "classes of a number": {"classes": 3},
    "classes of nothing": {"classes": None},
    "numbered classes": {"classes": [1, 2, 3]},
    "no backbone": {"backbone": None},
    "a backbone of text": {"backbone": "unet"},
    "a chain of text": {"chain": "20"},
    "no chain": {"chain": 0},
    "a negative chain": {"chain": -5},
    "an enormous chain": {"chain": 10**12},
    "half a chain": {"chain": 20.5},
    "an endless beta": {"beta_last": float("inf")},
    "no beta": {"beta_first": float("nan")},
    "a beta of a dictionary": {"beta_first": {}},
}
NETWORKS = {
    "unknown": {"__class__": "os"},
    "a strange network": {"network": "exec"},
    "an enormous width": {"width": WIDE},
    "a large width": {"width": 20_000},
    "a width of text": {"width": "8"},
    "a negative width": {"width": -8},
    "half a width": {"width": 8.5},
    "no width": {"width": None},
    "enormous multipliers": {"multipliers": [1, WIDE]},
    "many multipliers": {"multipliers": [1] * 10_000},
    "negative multipliers": {"multipliers": [-1]},
    "no multipliers": {"multipliers": []},
    "multipliers of a number": {"multipliers": 3},
    "enormously many blocks": {"blocks": WIDE},
    "an enormous depth": {"network": "dit", "depth": WIDE},
    "an enormous patch": {"network": "dit", "patch": WIDE},
    "a dropout above one": {"dropout": 7.0},
    "an attention of text": {"attention": "all"},
    "no head": {"head": 0},
}


def put(content, name=SYSTEM):
    return lambda run: (run / name).write_bytes(content)


def tensors(change):
    """A case of the average's tensors, changed."""

    def write(run):
        held = safetensors.torch.load_file(run / AVERAGE)
        (run / AVERAGE).unlink()
        changed = change(held)
        safetensors.torch.save_file(held if changed is None else changed, run / AVERAGE)

    return write


def header(**fields):
    """A case of a file that is nothing but a header that tells lies about what comes after."""
    text = json.dumps(
        {"denoiser.x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16], **fields}}
    )
    return put(struct.pack("<Q", len(text)) + text.encode() + bytes(16), AVERAGE)


def cut(part):
    def write(run):
        content = (run / AVERAGE).read_bytes()
        (run / AVERAGE).unlink()
        (run / AVERAGE).write_bytes(content[: int(part * len(content))])

    return write


def instead(make):
    """A case of something else in the place of the average."""

    def write(run):
        (run / AVERAGE).unlink()
        make(run / AVERAGE)

    return write


def largest(held):
    return max(held, key=lambda name: held[name].numel())


WEIGHTS = {
    "gone": instead(lambda path: None),
    "empty": instead(lambda path: path.touch()),
    "a folder": instead(lambda path: path.mkdir()),
    "a link to itself": instead(lambda path: path.symlink_to(path)),
    "a link to nowhere": instead(lambda path: path.symlink_to("nowhere")),
    "a pickle": instead(lambda path: path.write_bytes(pickle.dumps(Trap()))),
    "a torch file": instead(lambda path: torch.save({"x": Trap()}, path)),
    "a pipe": instead(os.mkfifo),
    "text": instead(lambda path: path.write_text("weights")),
    "an endless header": instead(lambda path: path.write_bytes(b"\xff" * 64)),
    "a header of 0": instead(lambda path: path.write_bytes(bytes(64))),
    "offsets beyond the end": header(data_offsets=[0, 10**15]),
    "offsets turned round": header(data_offsets=[16, 0]),
    "negative offsets": header(data_offsets=[-16, 0]),
    "a shape too large": header(shape=[10**15]),
    "a shape below zero": header(shape=[-4]),
    "a strange type": header(dtype="OBJ"),
    "a type too wide": header(dtype="F64"),
    "one tensor missing": tensors(lambda held: {k: held[k] for k in held if k != largest(held)}),
    "one tensor more": tensors(lambda held: {**held, "os.system": torch.zeros(1)}),
    "no tensors": tensors(lambda held: {}),
    "another shape": tensors(lambda held: {**held, largest(held): torch.zeros(3)}),
    "a scalar": tensors(lambda held: {**held, largest(held): torch.tensor(1.0)}),
    "another type": tensors(lambda held: {k: v.half() for k, v in held.items()}),
    "another order of sizes": tensors(lambda held: {k: v.flatten() for k, v in held.items()}),
    **{f"cut off at {part}": cut(part) for part in (0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.9999)},
}
LOADED = {
    **{f"record: {name}": put(content) for name, content in RECORDS.items()},
    **{
        f"name: {str(name)[:20]!r} {i}": lambda run, name=name: record(run, name=name)
        for i, name in enumerate(NAMES)
    },
    **{
        f"arguments: {name}": lambda run, given=given: arguments(run, **given)
        for name, given in ARGUMENTS.items()
    },
    **{
        f"arguments are {value!r}": lambda run, value=value: record(run, arguments=value)
        for value in (3, [], "x", None, [["shape"]])
    },
    **{
        f"network: {name}": lambda run, given=given: network(run, **given)
        for name, given in NETWORKS.items()
    },
    **{f"weights: {name}": write for name, write in WEIGHTS.items()},
}


def check_refused(monkeypatch, capsys, *words):
    """The command line says one sentence, with exit status 2; it is returned."""
    monkeypatch.setattr(sys, "argv", ["hush", *(str(word) for word in words)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert "Traceback" not in said
    assert said.count("hush: ") == 1
    assert os.getenv(MARK) is None
    return said


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", LOADED)
def test_a_hostile_run_is_refused_and_left_as_it_was(run, tmp_path, monkeypatch, capsys, name):
    LOADED[name](run)
    before = seen(tmp_path)
    with pytest.raises(UserError):
        hush.load(run)
    said = check_refused(monkeypatch, capsys, "sample", run, "--count", 1, "--out", tmp_path / "x")
    assert str(run) in said
    assert seen(tmp_path) == before


def state(run):
    return run / "state" / "000000001"


def resumed(name, change):
    """A case of a checkpoint whose tensors, and with them its checksums, were changed."""

    def write(run):
        held = safetensors.torch.load_file(state(run) / f"{name}.safetensors")
        (state(run) / f"{name}.safetensors").unlink()
        safetensors.torch.save_file(change(held), state(run) / f"{name}.safetensors")
        resum(run)

    return write


def told(content):
    def write(run):
        (state(run) / "state.json").write_text(content)
        resum(run)

    return write


def resum(run):
    names = [path for path in state(run).iterdir() if path.name != "checksums.json"]
    sums = {path.name: checksum(path) for path in names}
    (state(run) / "checksums.json").write_text(json.dumps(sums))


def without(held, part):
    return {name: value for name, value in held.items() if part not in name}


RESUMED = {
    "no losses": resumed("loop", lambda held: without(held, "losses")),
    "no guard": resumed("loop", lambda held: without(held, "guard")),
    "half a guard": resumed("loop", lambda held: without(held, "guard.scale")),
    "a guard of another shape": resumed(
        "loop", lambda held: {**held, "guard.scale": torch.ones(3)}
    ),
    "an optimiser of strangers": resumed("optimiser", lambda held: {"x/step": torch.ones(())}),
    "an optimiser without names": resumed("optimiser", lambda held: {"x": torch.ones(())}),
    "an optimiser of parts": resumed("optimiser", lambda held: {"a/b/c": torch.ones(())}),
    "an optimiser of another shape": resumed(
        "optimiser", lambda held: {name: torch.ones(2, 3) for name in held}
    ),
    "half an optimiser": resumed("optimiser", lambda held: without(held, "exp_avg_sq")),
    "a model of less": resumed("model", lambda held: dict(list(held.items())[1:])),
    "an average of doubles": resumed("ema", lambda held: {k: v.double() for k, v in held.items()}),
    "a state that is a list": told("[]"),
    "a state of nothing": told("{}"),
    "a state of text": told('{"samples": "4", "step": 1, "data": ""}'),
    "a state below zero": told('{"samples": -4, "step": 1, "data": ""}'),
    "a state that is not JSON": told("{"),
    "a file for the states": lambda run: (shutil.rmtree(run / "state"), put(b"x", "state")(run)),
    "a link to itself": lambda run: (
        shutil.rmtree(run / "state"),
        (run / "state").symlink_to(run / "state"),
    ),
    "a pipe for the record": lambda run: ((run / SYSTEM).unlink(), os.mkfifo(run / SYSTEM)),
    "a folder for the record": lambda run: ((run / SYSTEM).unlink(), (run / SYSTEM).mkdir()),
    "a folder for the lock": lambda run: (
        (run / ".lock").unlink(missing_ok=True),
        (run / ".lock" / "x").mkdir(parents=True),
    ),
    "a folder for the reports": lambda run: (
        (run / "metrics.jsonl").unlink(),
        (run / "metrics.jsonl" / "x").mkdir(parents=True),
    ),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", RESUMED)
def test_a_hostile_run_is_not_gone_on_with(run, tmp_path, name):
    RESUMED[name](run)
    before = contents(run)
    with pytest.raises(UserError):
        hush.train(model(), source(), run, **SHORT)
    after = contents(run)
    for content in before:  # under another name perhaps, but as it was
        after.remove(content)


def contents(run):
    """What is in a run's files, but for the weights it shows, which follow its checkpoints."""
    shown = (run / "model.safetensors", run / AVERAGE)
    found = seen(run).items()
    return [held for path, (kind, held) in found if stat.S_ISREG(kind) and path not in shown]


PLACES = {
    "a file": lambda folder: put(b"mine", "photo.png")(folder) and folder / "photo.png",
    "inside a file": lambda folder: put(b"mine", "photo.png")(folder) and folder / "photo.png/run",
    "a device": lambda folder: "/dev/null",
    "inside a device": lambda folder: "/dev/null/run",
    "a name with NUL": lambda folder: f"{folder}/a\0b",
    "a name too long": lambda folder: folder / ("x" * 300),
    "a path too long": lambda folder: folder / ("x/" * 3000),
    "a link to itself": lambda folder: (folder / "x").symlink_to(folder / "x") or folder / "x",
    "inside a link to itself": lambda folder: (
        (folder / "x").symlink_to(folder / "x") or folder / "x" / "y"
    ),
    "a folder of other things": lambda folder: put(b"mine", "photo.png")(folder) and folder,
    "the system's own": lambda folder: "/proc/self",
    "a pipe": lambda folder: os.mkfifo(folder / "pipe") or folder / "pipe",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", PLACES)
def test_a_place_that_cannot_hold_a_run_is_refused(tmp_path, monkeypatch, capsys, name):
    place = PLACES[name](tmp_path)
    before = seen(tmp_path)
    with pytest.raises(UserError):
        hush.train(model(), source(), place, **SHORT)
    with pytest.raises(UserError):
        hush.load(place)
    flags = ["--data", "digits", "--width", "8", "--multipliers", "1", "--steps", "1"]
    check_refused(monkeypatch, capsys, "train", "ddpm", *flags, "--out", place)
    check_refused(monkeypatch, capsys, "sample", place)
    assert seen(tmp_path) == before

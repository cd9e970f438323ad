"""The command line, as a person meets it."""

import errno
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hush import systems
from hush.app import cli
from hush.app.choices import GRIDS, SAMPLERS, choose
from hush.errors import UserError
from hush.samplers import Jumps, OrderAgnostic, RePaint
from hush.samplers.base import Sampler
from hush.samplers.grids import Grid
from hush.testing import every

TRAIN = shlex.split(
    "train ddpm --data digits --width 8 --multipliers 1 --blocks 1 --attention --dropout 0 "
    "--batch 8 --learning-rate 1e-3 --warmup 1 --chain 20 --sample-every 50 --threads 1"
)


def hush(*arguments):
    """Run a command line in this process."""
    cli.run([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("cli") / "run"
    hush(*TRAIN, "--steps", 4, "--out", out)
    return out


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from hush.app import cli; cli.run(['--help']); cli.run(['train', '--help']);"
        "print(sorted({'torch', 'numpy', 'tyro', 'accelerate', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "hush train SYSTEM --data DATA --out RUN" in done.stdout


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("trian ddpm", "There is no command 'trian': did you mean train?"),
        ("train dppm --data digits --out x", "There is no system 'dppm': did you mean ddpm?"),
        ("train ddpm --data nowhere/at/all --out x", "nowhere/at/all"),
        ("train ddpm --data digits --out x --size 16", "size"),
        ("train ddpm --data digits --out x --width 7", "--width must be even, got 7"),
        ("train ddpm --data digits --out x --size 0", "size=0: expected a whole number"),
        ("sample nowhere", "nowhere is not a run: it has no system.json"),
        ("cite nowhere", "nowhere is not a run: it has no system.json"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_status_2(line, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hush", *line.split()])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    said = capsys.readouterr().err.strip().splitlines()
    assert caught.value.code == 2
    assert said[-1].startswith("hush: ")
    assert sentence in said[-1]
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_under_a_log_is_one_sentence_too(monkeypatch, capsys):
    def full(arguments):
        raise OSError(errno.ENOSPC, "No space left on device", "runs/a/metrics.jsonl")

    monkeypatch.setattr(cli, "run", full)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("hush: [Errno 28] No space left on device: 'runs/a/metrics.jsonl'.")


def test_an_empty_folder_and_a_truncated_picture_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty"):
        hush(*TRAIN[:2], "--data", tmp_path / "empty", "--out", tmp_path / "run")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (6, 16, 16, 3), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(pictures / f"{number}.png")
    whole = (pictures / "3.png").read_bytes()
    (pictures / "3.png").write_bytes(whole[: len(whole) // 2])
    flags = [*TRAIN[:2], "--data", pictures, *TRAIN[4:], "--steps", 1]
    with pytest.raises(UserError, match=r"3\.png cannot be read"):
        hush(*flags, "--out", tmp_path / "run")
    hush(*flags, "--out", tmp_path / "run2", "--skip-broken")
    assert (tmp_path / "run2" / "model.safetensors").exists()
    assert (pictures / "3.png").read_bytes() == whole[: len(whole) // 2]


def test_samples_are_pictures_named_by_class_with_a_grid_and_a_trace(run, tmp_path, capsys):
    out = tmp_path / "drawn"
    hush("sample", run, "--count", 12, "--seed", 7, "--out", out, "--trace", "--threads", 1)
    names = sorted(path.name for path in out.iterdir())
    assert names[:2] == ["00000-0.png", "00001-1.png"]
    assert names[-2:] == ["grid.png", "trace.png"]
    assert len(names) == 14
    assert Image.open(out / "00000-0.png").size == (8, 8)
    assert "seed 7" in capsys.readouterr().out


def test_a_seed_gives_the_same_pictures_whatever_the_count_and_the_batch(run, tmp_path):
    for name, flags in (("a", ["--count", 5]), ("b", ["--count", 9, "--batch", 2])):
        hush("sample", run, "--seed", 3, "--class", "4", "--out", tmp_path / name, *flags)
    for number in range(5):
        pair = [np.asarray(Image.open(tmp_path / n / f"{number:05d}-4.png")) for n in "ab"]
        assert np.array_equal(*pair)


@pytest.mark.parametrize(
    "flags",
    [
        "--sampler ddim --steps 5",
        "--sampler multistep:order=2 --grid uniform --steps 4",
        "--sampler heun --grid log_snr:ratio_min=0.1 --steps 4 --guidance 2",
        "--sampler ancestral:eta=0.5 --grid chain:spacing=leading --steps 5 --class 1,2",
        "--last --count 1",
        "--evaluations 3",
        "--sampler adaptive:rtol=1e-2,atol=1e-2 --trace",
        "--sampler multistep:order=2,basis=data(tau=0.5),along=log_snr --steps 3",
        "--grid given:steps=2,moments=(1,0.4,0)",
    ],
)
def test_sampler_grid_guidance_and_class_are_asked_for_in_words(run, tmp_path, flags):
    hush("sample", run, "--count", 2, "--out", tmp_path / "out", *flags.split())
    assert (tmp_path / "out" / "grid.png").exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("--sampler multstep", "did you mean multistep.*Known are adaptive, .*unipc"),
        ("--sampler multistep:ordr=2", "no setting 'ordr': did you mean order"),
        ("--sampler multistep:order=9", "orders 1 to 5, got 9"),
        ("--grid chain --steps 21", "A chain of 20 steps cannot be walked in 21"),
        ("--sampler multistep:basis=date", "cannot be 'date': did you mean data"),
        ("--steps 0", "at least 1 step, got 0"),
        ("--evaluations 0", "at least 1 step, got 0"),
        ("--evaluations 9 --steps 9", "leave out --sampler"),
        ("--class eleven", "no class 'eleven'"),
        ("--count 0", "must be 1 or more"),
    ],
)
def test_what_cannot_be_sampled_is_said_before_anything_is_written(run, tmp_path, flags, sentence):
    with pytest.raises(UserError, match=sentence):
        hush("sample", run, "--out", tmp_path / "out", *flags.split())
    assert not (tmp_path / "out").exists()


def test_samples_never_overwrite(run, tmp_path):
    hush("sample", run, "--count", 1, "--out", tmp_path / "out")
    with pytest.raises(UserError, match="already holds files"):
        hush("sample", run, "--count", 1, "--out", tmp_path / "out")


def test_cite_names_the_paper_of_the_system_and_of_its_sampler(run, capsys):
    hush("cite", run)
    said = capsys.readouterr().out
    assert "arXiv:2006.11239" in said
    assert "Song, Meng, Ermon 2021" in said


def test_systems_lists_every_page_of_the_room(capsys):
    hush("systems")
    said = capsys.readouterr().out
    room = Path(systems.__file__).parent
    pages = {path.stem for path in room.glob("*.py")}
    pages -= {"__init__", "index", "plain", "predicted", "suited", "taken"}
    assert pages == set(systems.TABLE)
    assert all(page in said for page in (*pages, *systems.index.USES))


@pytest.mark.parametrize("name", systems.index.USES)
def test_what_is_no_system_but_a_use_of_one_names_its_verb(name):
    verb = systems.index.USES[name].verb
    assert verb.split()[1] in cli.COMMANDS
    with pytest.raises(UserError, match=verb):
        hush("train", name, "--data", "digits", "--out", "nowhere")


def test_choices_name_every_sampler_and_grid():
    """But RePaint and its jumps, which want a picture to keep, and the sampler of tokens."""
    for base, table in ((Sampler, SAMPLERS), (Grid, GRIDS)):
        named = {type(value) for value in table.values()}
        assert {type(one) for one in every(base)} - {RePaint, Jumps, OrderAgnostic} == named
    assert choose(SAMPLERS, "sampler", "ddim").eta == 0.0


def test_evaluate_prints_the_bits_and_what_to_beat(run, capsys):
    asked = ("evaluate", run, "--data", "digits", "--threads", 1)
    hush(*asked, "--count", 20, "--samples", 20, "--evaluations", 3)
    said = " ".join(capsys.readouterr().out.split())
    assert "ddpm" in said
    assert "histogram" in said
    assert "20 held-out" in said
    hush(*asked, "--count", 4, "--method", "flow", "--samples", 0)
    assert "probability-flow" in capsys.readouterr().out
    with pytest.raises(UserError, match="--count 0"):
        hush(*asked, "--count", 0)


def test_retell_writes_a_run_that_samples_and_remembers_its_base(run, tmp_path, capsys):
    out = tmp_path / "better"
    told = ("--data", "digits", "--levels", 5, "--count", 40, "--threads", 1)
    hush("retell", run, "--out", out, *told)
    hush("sample", out, "--count", 2, "--out", tmp_path / "drawn", "--threads", 1)
    hush("evaluate", out, "--data", "digits", "--count", 20, "--samples", 0, "--threads", 1)
    assert "analytic_dpm" in capsys.readouterr().out
    with pytest.raises(UserError, match="already holds a run"):
        hush("retell", run, "--out", out, *told)


@pytest.mark.parametrize(
    ("flag", "name"),
    [("--sampler", name) for name in SAMPLERS] + [("--grid", name) for name in GRIDS],
)
def test_every_sampler_and_grid_draws_by_its_name(run, tmp_path, flag, name):
    steps = () if name == "given" else ("--steps", 4)
    out = tmp_path / "out"
    hush("sample", run, "--count", 2, "--seed", 1, flag, name, *steps, "--out", out)
    assert (out / "grid.png").stat().st_size > 100


def test_a_signal_saves_and_leaves_cleanly_and_the_same_command_goes_on(tmp_path, capsys):
    """Ctrl-C to a process of its own, then, as the run goes on in this one, SIGTERM."""
    out = tmp_path / "run"
    command = [*TRAIN, "--out", str(out), "--report-every", "1", "--save-every", "100000"]
    long = [*command, "--steps", "100000"]
    running = subprocess.Popen(
        [sys.executable, "-m", "hush", *long],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    _wait_for(lambda: _reports(out) > 0)
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 0
    assert "Stopped and saved at step" in said
    assert "Traceback" not in said
    step, reported = _newest(out), _reports(out)

    over = threading.Event()

    def terminate():
        _wait_for(lambda: over.is_set() or _reports(out) > reported + 1)
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=terminate)
    thread.start()
    try:
        hush(*long)
    finally:
        over.set()
        thread.join()
    said = capsys.readouterr().err
    assert f"Going on from step {step} of" in said
    assert f"Stopped and saved at step {_newest(out)}" in said
    hush(*command, "--steps", _newest(out) + 1)


def _reports(out):
    path = out / "metrics.jsonl"
    return len(path.read_bytes().splitlines()) if path.exists() else 0


def _newest(out):
    return max(int(folder.name) for folder in (out / "state").iterdir())


def _wait_for(happens):
    deadline = time.monotonic() + 120
    while not happens() and time.monotonic() < deadline:
        time.sleep(0.1)

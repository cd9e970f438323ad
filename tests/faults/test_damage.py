"""What is damaged is seen, set aside by name, and made again from what is whole."""

import json
import random
import shutil
import signal

import pytest
from hurts import At, die
from lives import DONE, REFUSED, SHORT, Life, began, check_same, lived, sampled, unhurt

FILES = ("checksums.json", "ema.safetensors", "loop.safetensors", "model.safetensors")
TAILS = ('{"step": 14, "los', '{"step": 1', "\0\0\0", "5\n", '{"step": "x"}\n')
WORDS = ("[]", "7", "null", '{"state.json": []}', "{}", "[" * 10**5)
HURTS = ("empty", "missing", "short", "a folder", "a file")
FILES += ("optimiser.safetensors", "state.json")


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A run that was killed between its second checkpoint, of step 14, and the end."""
    out = tmp_path_factory.mktemp("broken") / "run"
    life = Life(out, {**SHORT, "steps": 10**6})
    assert life.see((out / "state" / "000000014").is_dir)
    life.kill()
    for later in sorted((out / "state").glob("[.0]*"))[:]:
        if later.name not in ("000000007", "000000014"):
            shutil.rmtree(later)
    return out


@pytest.fixture
def out(tmp_path, broken):
    return shutil.copytree(broken, tmp_path / "run")


def newest(out):
    return out / "state" / "000000014"


def check_mended(out, whole):
    """The damage is told and kept under another name, and the run ends as it should."""
    death = lived(out, SHORT)
    assert death.status == DONE, death.said
    assert "is damaged" in death.said
    assert "Going on from step 7" in death.said
    assert newest(out).with_name("damaged-000000014").exists()
    check_same(out, SHORT, whole)


def flip(file, place):
    content = bytearray(file.read_bytes())
    content[place // 8] ^= 1 << place % 8
    file.write_bytes(content)


@pytest.mark.parametrize("seed", sampled(range(10), [0]))
@pytest.mark.parametrize("name", sampled(FILES, FILES[:1] + FILES[4:5]))
def test_a_bit_that_flipped_is_seen(out, whole, name, seed):
    file = newest(out) / name
    flip(file, random.Random(f"{name}{seed}").randrange(8 * file.stat().st_size))
    check_mended(out, whole)


@pytest.mark.parametrize("hurt", sampled(HURTS, HURTS[3:]))
@pytest.mark.parametrize("name", sampled([FILES[0], FILES[3]], FILES[3:4]))
def test_files_that_are_no_longer_files_are_seen(out, whole, name, hurt):
    file = newest(out) / name
    content = file.read_bytes()
    file.unlink()
    if hurt == "empty":
        file.touch()
    elif hurt == "short":
        file.write_bytes(content[: len(content) // 3])
    elif hurt == "a folder":
        file.mkdir()
    elif hurt == "a file":
        shutil.rmtree(newest(out))
        newest(out).write_bytes(content)
    check_mended(out, whole)


@pytest.mark.parametrize("content", sampled(WORDS, ["7"]))
def test_checksums_that_say_something_else_are_seen(out, whole, content):
    (newest(out) / "checksums.json").write_text(content)
    check_mended(out, whole)


def test_when_all_are_damaged_nothing_is_overwritten(out):
    for folder in (out / "state").glob("0*"):
        flip(folder / "optimiser.safetensors", 8000)
    for _ in range(2):
        death = lived(out, SHORT)
        assert death.status == REFUSED
        assert "No whole checkpoint is left" in death.said
    (out / "state" / "damaged-000000014").rename(newest(out))
    flip(newest(out) / "optimiser.safetensors", 8000)  # brought back
    assert lived(out, SHORT).status == DONE


def test_strangers_beside_the_checkpoints_are_let_be(out, whole):
    state = out / "state"
    for name in ("12", "1²", "old", "0000000099", "damaged-3"):
        (state / name).mkdir()
        (state / name / "mine.txt").write_text("mine")
    (state / "notes.txt").write_text("mine")
    assert lived(out, SHORT).status == DONE
    check_same(out, SHORT, whole)
    assert len(list(state.rglob("mine.txt"))) == 5
    assert (state / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("tail", sampled(TAILS, TAILS[:1]))
def test_a_torn_last_line_is_written_again(out, whole, tail):
    for name in ("metrics.jsonl", "records.jsonl"):
        with (out / name).open("a") as file:
            file.write(tail)
    assert lived(out, SHORT).status == DONE
    check_same(out, SHORT, whole)


def test_a_life_keeps_others_out_until_it_dies(tmp_path, whole):
    out = tmp_path / "run"
    life = Life(out, {**SHORT, "steps": 10**6})
    assert life.see(lambda: began(out))
    life.send(signal.SIGSTOP)  # so that nothing of the folder changes meanwhile
    second = tmp_path / "second" / "run"
    second.parent.mkdir()
    second.symlink_to(out)
    with unhurt(out):
        death = lived(second, SHORT)
    assert death.status == REFUSED
    assert "is being trained by another process" in death.said
    life.kill()
    assert lived(out, {**SHORT, "steps": 10**6}, At(200, die)).status == -signal.SIGKILL


def test_records_say_what_was_learnt(whole):
    lines = [json.loads(line) for line in whole["records.jsonl"].splitlines()]
    assert {len(line["records"]) for line in lines} == {8}

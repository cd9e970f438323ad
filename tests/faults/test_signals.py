"""A run that is asked to stop saves and leaves at once; one whose data fail, too."""

import errno
import random
import signal
import time

import pytest
from hurts import Unreadable
from lives import DONE, HOW, REFUSED, SHORT, Life, began, check_same, lived, sampled

DEADLINE = 10.0  # seconds; a busy machine is slow


def stop(life, again=False):
    """Ask a life to end, once or twice, and see that it does, in time and in peace."""
    asked = time.monotonic()
    life.send(signal.SIGTERM)
    if again:
        time.sleep(0.001)
        life.send(signal.SIGTERM)
    death = life.end()
    assert time.monotonic() - asked < DEADLINE
    assert death.status == DONE, death.said
    return death


@pytest.mark.parametrize("seed", sampled(range(9), [1]))
def test_a_stopped_run_saves_leaves_and_goes_on_the_same(tmp_path, whole, short, seed):
    out, chance = tmp_path / "run", random.Random(seed)
    life = Life(out, SHORT)
    assert life.see(lambda: life.trains)
    time.sleep(chance.uniform(0.0, short[1]))
    stop(life, again=seed > 0)
    lived(out, SHORT)
    check_same(out, SHORT, whole)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(5))
def test_a_long_run_may_be_stopped_ten_times(tmp_path, long, seed):
    out, chance = tmp_path / "run", random.Random(seed)
    for number in range(10):
        life = Life(out, HOW)
        life.see(lambda life=life: life.trains)
        time.sleep(chance.uniform(0.0, 2 * long[1] / 10))
        stop(life, again=number % 2 == 1)
    lived(out, HOW)
    check_same(out, HOW, long[0])


def test_a_run_may_be_stopped_while_samples_are_drawn(tmp_path, whole):
    out = tmp_path / "run"
    life = Life(out, {**SHORT, "sample_every": 2})
    assert life.see(lambda: began(out) and any(out.glob("samples/*")))
    time.sleep(0.02)
    said = stop(life).said
    assert "Stopped and saved at step" in said
    lived(out, SHORT)
    for picture in set((out / "samples").iterdir()):
        if f"samples/{picture.name}" not in whole:
            picture.unlink()  # of the first life's other recipe


@pytest.mark.parametrize(
    "error", [MemoryError("no more"), OSError(errno.EIO, "Input/output error"), KeyError("image")]
)
def test_a_thread_that_reads_ahead_and_dies_costs_nothing(tmp_path, whole, error):
    out = tmp_path / "run"
    death = lived(out, SHORT, Unreadable(9, error))
    assert death.status == REFUSED, death.said
    assert "Traceback" not in death.said
    assert (out / "state" / "000000009").is_dir()
    assert lived(out, SHORT).status == DONE
    check_same(out, SHORT, whole)

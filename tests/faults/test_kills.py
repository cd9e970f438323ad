"""A run that is killed at any instant, and begun again, ends as one that was never stopped."""

import random
import signal
import time

import pytest
from hurts import At, die, jumping
from lives import DONE, HOW, SHORT, Life, began, check_same, lived, sampled

TOUCHES = 190  # of files, at least, in the life of a short run
SOME = (3, 55, 150)
KILLS = 10  # of one run; five runs make fifty


@pytest.mark.parametrize("touch", sampled(range(TOUCHES), SOME))
def test_killed_at_any_touch_of_a_file_it_ends_the_same(tmp_path, whole, touch):
    """The second life is killed at its own touch, while it goes on: two kills in a row."""
    out = tmp_path / "run"
    assert lived(out, SHORT, At(touch, die)).status == -signal.SIGKILL
    lived(out, SHORT, At(touch * 7 % 60, die))
    assert lived(out, SHORT).status == DONE
    check_same(out, SHORT, whole)


@pytest.mark.parametrize("seed", sampled(range(1, 6), ()))
def test_killed_ten_times_at_random_instants_it_ends_the_same(tmp_path, long, seed):
    contents, seconds = long
    chance, out = random.Random(seed), tmp_path / "run"
    for number in range(KILLS):
        life = Life(out, HOW)
        _wait_for_its_hour(life, chance, number, seconds)
        life.kill()
    assert lived(out, HOW).status == DONE
    check_same(out, HOW, contents)


def _wait_for_its_hour(life, chance, number, seconds):
    """Somewhere in the run's length, while a checkpoint is written, just when one is there, or
    while the run is taken up."""
    state = life.out / "state"
    before = set(state.glob("0*"))
    sights = {
        1: lambda: any(state.glob(".*.partial")),
        2: lambda: set(state.glob("0*")) - before,
        3: lambda: True,
    }
    if sight := sights.get(number % 4):
        if number % 4 != 3:
            life.see(lambda: began(life.out))
        life.see(sight)
        time.sleep(chance.uniform(0.0, 0.01 if number % 4 != 3 else 0.2))
    else:
        time.sleep(chance.uniform(0.0, 2 * seconds / KILLS))


def test_killed_once_at_a_random_instant_it_ends_the_same(tmp_path, whole, short):
    out = tmp_path / "run"
    life = Life(out, SHORT)
    time.sleep(random.Random(0).uniform(0.0, short[1]))
    life.kill()
    assert lived(out, SHORT).status == DONE
    check_same(out, SHORT, whole)


def test_the_time_of_day_may_leap_by_years(tmp_path, whole):
    out = tmp_path / "run"
    lived(out, SHORT, jumping, At(100, die))
    assert lived(out, SHORT, jumping).status == DONE
    check_same(out, SHORT, whole)

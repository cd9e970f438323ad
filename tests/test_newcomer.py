"""A new sampler or schedule is one class in one file: its whole suite comes with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLER = '''
from dataclasses import dataclass
from hush.samplers import Sampler

@dataclass(frozen=True)
class NewcomerSampler(Sampler):
    """Euler along x/α against σ/α, written out: DDIM."""

    def step(self, denoiser, state, s, cond=None):
        x_0, t = denoiser(state.x, state.t, cond).mean, state.t
        noise = (state.x - t.alpha * x_0) / t.sigma
        return state.moved(s.alpha * x_0 + {scale} * noise, s)
'''
SCHEDULE = '''
from dataclasses import dataclass
from hush.schedules import Schedule

@dataclass(frozen=True)
class NewcomerSchedule(Schedule):
    """Half a turn of a circle in time: the trigonometric path."""

    def __call__(self, t):
        angle = t * {angle}
        return angle.cos(), angle.sin()
'''


def suite(folder: Path, room: str, source: str) -> tuple[int, int, str]:
    """The newcomer's part of tests/test_contracts.py, run with its file lying in a room of hush:
    (passed, failed, output). Not a line of test code names it."""
    (folder / "newcomer.py").write_text(source)
    (folder / "settle.py").write_text(
        f"import hush.{room}\nhush.{room}.__path__.append({str(folder)!r})\n"
    )
    words = "-m pytest -p settle -p no:cacheprovider -o addopts=-q -k Newcomer"
    done = subprocess.run(
        [sys.executable, *words.split(), "tests/test_contracts.py"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
    )
    words = done.stdout.replace(",", "").split()
    counts = [
        int(words[words.index(word) - 1]) if word in words else 0 for word in ("passed", "failed")
    ]
    return *counts, done.stdout


@pytest.mark.parametrize(
    ("room", "source", "least"),
    [
        ("samplers", SAMPLER.format(scale="s.sigma"), 4),
        ("schedules", SCHEDULE.format(angle="1.5"), 40),
    ],
    ids=["sampler", "schedule"],
)
def test_a_newcomer_is_held_to_every_law_of_its_kind(tmp_path, room, source, least):
    passed, failed, said = suite(tmp_path, room, source)
    assert (passed >= least, failed) == (True, 0), said


def test_a_wrong_newcomer_does_not_get_past(tmp_path):
    passed, failed, said = suite(tmp_path, "samplers", SAMPLER.format(scale="1.01 * s.sigma"))
    assert failed == 4, said
    assert "claims order 1, but its error falls" in said
    assert passed == 0

"""A small run for the tests of the page: a few steps on digits, on a long chain, so that a walk can
be long enough to be cancelled."""

import shlex

import pytest

from hush.app import cli

LINE = (
    "train ddpm --data digits --width 8 --multipliers 1 --blocks 1 --attention --dropout 0 "
    "--batch 8 --learning-rate 1e-3 --warmup 1 --sample-every 4 --report-every 2 --threads 1"
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the one run `digits`."""
    folder = tmp_path_factory.mktemp("runs")
    cli.run([*shlex.split(LINE), "--steps", "4", "--out", str(folder / "digits")])
    return folder

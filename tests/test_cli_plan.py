"""`hush plan` and the words that a plan is kept in."""

import json
import shlex

import pytest
import torch
from PIL import Image

from hush.app import cli
from hush.app.choices import GRIDS, SAMPLERS, choose, word
from hush.app.planning import FILE, kept
from hush.errors import UserError
from hush.samplers import Multistep, bases, default, planning
from hush.samplers.grids import Focused, Given

TRAIN = shlex.split(
    "train ddpm --data digits --width 8 --multipliers 1 --blocks 1 --attention --dropout 0 "
    "--batch 8 --learning-rate 1e-3 --warmup 1 --chain 20 --steps 60 --threads 1"
)


def hush(*arguments):
    cli.run([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("plan") / "run"
    hush(*TRAIN, "--out", out)
    return out


def pixels(folder):
    return [Image.open(file).tobytes() for file in sorted(folder.glob("0*.png"))]


WAYS = [
    *SAMPLERS.values(),
    *GRIDS.values(),
    *planning.SAMPLERS,
    *(grid for n in (4, 8, 30) for grid in default(n)),
    Multistep(3, bases.Data(tau=0.5), along="log_snr", tail=(2, 1)),
    Multistep(2, bases.Angular(0.7)),
    Given.at([1.0, 1 / 3, 0.1 + 0.2, 1e-7, 0.0]),
    Focused(7, rest=0.58),
]


@pytest.mark.parametrize("way", WAYS, ids=map(repr, range(len(WAYS))))
def test_a_word_names_the_very_value_it_was_made_from(way):
    table = SAMPLERS if type(way) in map(type, SAMPLERS.values()) else GRIDS
    assert choose(table, "way", word(way)) == way
    assert " " not in word(way)


def test_a_name_of_the_table_is_its_own_word():
    names = {name: word(value) for name, value in (SAMPLERS | GRIDS).items()}
    same = {name: one for name, one in names.items() if "heun" not in name}  # twice in the table
    for name, said in same.items():
        assert (SAMPLERS | GRIDS)[said] == (SAMPLERS | GRIDS)[name]


def test_samples_are_walked_by_the_plan_to_the_last_bit(run, tmp_path, capsys):
    for evaluations in (3, 5):
        hush("plan", run, "--evaluations", evaluations, "--count", 8, "--threads", 1)
    said = capsys.readouterr().out
    assert "* is hush's own without a plan" in said
    newest, first = kept(run), kept(run, 3)
    assert (newest.evaluations, first.evaluations, newest.step) == (5, 3, 60)
    assert newest.walker()[1].steps == 5
    ways = {
        "newest": [],
        "by number": ["--evaluations", 3],
        "newest in words": ["--sampler", newest.sampler, "--grid", newest.grid],
        "number in words": ["--sampler", first.sampler, "--grid", first.grid],
        "no plan": ["--sampler", "ddpm"],
    }
    drawn = {}
    for name, flags in ways.items():
        out = tmp_path / name
        hush("sample", run, "--count", 4, "--seed", 1, *flags, "--out", out)
        drawn[name] = pixels(out)
    assert drawn["newest"] == drawn["newest in words"]
    assert drawn["by number"] == drawn["number in words"]
    assert len({str(one) for one in drawn.values()}) == 3
    hush("plan", run, "--evaluations", 3, "--count", 8, "--seed", 5, "--threads", 1)
    assert [one["evaluations"] for one in json.loads((run / FILE).read_text())] == [5, 3]


def test_the_plan_that_is_kept_is_the_best_that_was_found(run):
    """The same search in Python, from the same noise."""
    import hush as python

    hush("plan", run, "--evaluations", 4, "--count", 8, "--guidance", 2, "--threads", 1)
    best = python.load(run).plan(4, 8, guidance=2.0)[0]
    found = kept(run, 4)
    assert (found.error, found.guidance) == (best.error, 2.0)
    assert found.walker() == (best.sampler, best.grid)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("--evaluations 0", "1 evaluation and 2 states or more, got 0"),
        ("--evaluations 3 --count 1", "got 3 and 1"),
        ("--evaluations 3 --class 11", "11"),
    ],
)
def test_what_cannot_be_planned_is_said(run, flags, sentence):
    with pytest.raises(UserError, match=sentence):
        hush("plan", run, *flags.split())


def test_a_damaged_plan_is_named(run, tmp_path):
    path = run / FILE
    before = path.read_text() if path.exists() else None
    path.write_text("[{}]")
    try:
        with pytest.raises(UserError, match=r"plans\.json is not what `hush plan` writes"):
            hush("sample", run, "--out", tmp_path / "out")
    finally:
        path.unlink() if before is None else path.write_text(before)


def test_plans_heed_conditions_of_several_parts():
    """Each half of the states keeps its own share of every part."""
    from hush.denoisers import Denoiser
    from hush.distributions import Gaussian
    from hush.processes import GaussianProcess
    from hush.schedules import Cosine

    class Told(Denoiser):
        def __init__(self):
            super().__init__()
            self.process = GaussianProcess(Cosine())

        def forward(self, x_t, t, cond=None):
            return Gaussian(cond["a"] + cond["b"], torch.zeros(()))

    x = torch.randn(6, 2)
    parts = {"a": torch.randn(6, 2), "b": torch.randn(6, 2)}
    assert planning.plan(Told(), x, 2, parts)[0].error < 1e-5

"""The whole examination: on a law that is known it prints what is known, and its page stands by
itself."""

import io
import json
import math
import re
import shlex
from dataclasses import replace

import pytest
import torch
from rich.console import Console

import hush
from hush.app import cli
from hush.app.command import command
from hush.app.kinds import meant
from hush.app.training import _columns, _settings, parsed
from hush.data import InMemory, digits, split
from hush.data.pictures import address, png
from hush.errors import UserError
from hush.evaluation import Asked, examine, print_report, quick
from hush.networks import Backbone
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.schedules import VariancePreserving
from hush.systems.index import find
from hush.testing import GaussianMixture, MixtureDenoiser
from hush.training.run import Run, jsonable

torch.set_num_threads(1)
SMALL = Backbone(width=8, multipliers=(1,), blocks=1, attention=())
SHAPE = (1, 2, 2)
SCALE = 6.0  # of the mixtures in [0, 1]: the middle is at 0.5
MIXTURE = GaussianMixture.of(
    [0.4, 0.6], [[[[-1.2, 0.3], [0.8, 0.0]]], [[[1.0, -0.8], [-0.4, 0.6]]]], [0.03, 0.06]
)
OTHER = GaussianMixture.of([1.0], [[[[0.4, 0.0], [0.1, 0.3]]]], [0.2])


def exact(mixture):
    """A system whose denoiser knows the mixture, and whose codec is the line x/6 + ½."""
    denoiser = MixtureDenoiser(GaussianProcess(VariancePreserving()), mixture)
    denoiser.network = torch.nn.Linear(1, 1)  # for its device to be found by
    system = hush.systems.ddpm(SHAPE, (), SMALL, clip=False)
    codec = system.codec.fit([torch.tensor([0.0, 1.0])])
    codec.scale.fill_(1.0 / SCALE)
    codec.shift.fill_(0.5)
    return replace(system, denoiser=denoiser, codec=codec)


def pictures(mixture, count, seed):
    data = mixture.sample(Streams.of(seed, count)).float() / SCALE + 0.5
    return InMemory(data.clamp(0.0, 1.0))


def examined(model, data):
    train, unseen = pictures(data, 1500, seed=1), pictures(data, 900, seed=2)
    asked = Asked(samples=600, records=400, features="raw", start=1e-3, seed=1)
    return examine(quick(exact(model)), train, unseen, asked)


@pytest.fixture(scope="module")
def perfect():
    return examined(MIXTURE, MIXTURE)


@pytest.fixture(scope="module")
def another():
    return examined(MIXTURE, OTHER)


def entropy(mixture, count=200_000):
    """-E log2 p per value in data units, and its standard error."""
    x = mixture.sample(Streams.of(9, count))
    bits = (-mixture.log_prob(x) / math.log(2.0)) / 4 - math.log2(SCALE)
    return bits.mean().item(), bits.std().item() / count**0.5


def frechet_of(one, other):
    apart = (one.mean - other.mean).square().sum()
    a, b = one.covariance, other.covariance
    values, vectors = torch.linalg.eigh(a)
    root = (vectors * values.sqrt()) @ vectors.T
    shared = torch.linalg.eigvalsh(root @ b @ root).sqrt().sum()
    return float(apart + a.trace() + b.trace() - 2.0 * shared) / SCALE**2


def kernel_of(one, other):
    """MMD² of two mixtures with the cubic kernel, by their first three moments in data units."""

    def moments(mixture):
        total = [torch.zeros(4).double(), torch.zeros(4, 4).double(), torch.zeros(4, 4, 4).double()]
        for w, m, v in zip(
            mixture.weights, mixture.means.flatten(1), mixture.variances, strict=True
        ):
            m, eye = m / SCALE + 0.5, v / SCALE**2 * torch.eye(4).double()
            third = torch.einsum("i,j,k->ijk", m, m, m)
            for how in ("i,jk->ijk", "j,ik->ijk", "k,ij->ijk"):
                third = third + torch.einsum(how, m, eye)
            for place, part in enumerate((m, eye + torch.outer(m, m), third)):
                total[place] += w * part
        return total

    def kernel(p, q):
        rows = zip((3, 3, 1), p, q, (1, 2, 3), strict=True)
        return 1.0 + sum(share * float((a * b).sum()) / 4**power for share, a, b, power in rows)

    p, q = moments(one), moments(other)
    return kernel(p, p) + kernel(q, q) - 2.0 * kernel(p, q)


def within(value, measured):
    low, high = measured.interval
    return low <= value <= high


def test_bits_are_the_entropy_and_there_is_no_gap(perfect):
    wanted, error = entropy(MIXTURE)
    for found in (perfect.bits.held_out, perfect.bits.train):
        assert abs(found.bits - wanted) < 3.0 * math.hypot(found.error, error) + 2e-3
        assert found.error < 0.15
    gap, error = perfect.bits.gap
    assert error == pytest.approx(math.hypot(perfect.bits.held_out.error, perfect.bits.train.error))
    assert abs(gap) < 3.0 * error
    total = sum(bits for _, bits, _ in perfect.bits.profile())
    rate = math.log2(SCALE)  # of the codec, which is no band's
    assert total - rate == pytest.approx(perfect.bits.held_out.bits, abs=1e-6)


def test_distances_to_its_own_law_are_none_and_to_another_the_closed_form(perfect, another):
    judged = perfect.judgement
    assert within(0.0, judged.unbiased)
    assert within(0.0, judged.kernel)
    for one in (judged.density, judged.coverage):
        assert within(one.floor, one)
    judged = another.judgement
    assert within(frechet_of(MIXTURE, OTHER), judged.unbiased)
    assert within(kernel_of(MIXTURE, OTHER), judged.kernel)
    assert judged.unbiased.interval[0] > 0.0
    assert judged.kernel.interval[0] > 0.0


def test_beliefs_are_so_on_its_own_law_and_not_on_another(perfect, another):
    for one in perfect.beliefs:
        assert abs(one.slope[0] - 1.0) < 4.0 * one.slope[1]
        assert abs(one.spread[0] - 1.0) < 4.0 * one.spread[1]
    assert max(abs(one.spread[0] - 1.0) / one.spread[1] for one in another.beliefs) > 10.0


def test_what_is_perfect_is_said_to_be_and_what_is_not_is_not(perfect, another):
    states = {verdict.question: verdict.state for verdict in perfect.verdicts}
    assert states == dict.fromkeys(states, "good")
    assert len(states) == 6
    assert str(perfect.memorisation).startswith("No sign of memorising")
    states = {verdict.question: verdict.state for verdict in another.verdicts}
    assert states["Are the samples like data?"] == "poor"
    assert states["Does it copy?"] == "good"


def test_a_model_that_returns_its_training_records_is_told():
    train, unseen = pictures(MIXTURE, 40, seed=1), pictures(MIXTURE, 300, seed=2)
    points = (train.images.double() - 0.5) * SCALE
    copies = GaussianMixture(
        torch.full((40,), 1 / 40).double(), points, torch.full((40,), 1e-6).double()
    )
    found = examine(quick(exact(copies)), train, unseen, Asked(200, features="raw", start=1e-2))
    says = {verdict.question: verdict for verdict in found.verdicts}
    assert says["Does it copy?"].state == "poor"
    assert says["Does it copy?"].says.startswith("Memorised")
    assert says["Does it generalise?"].state == "poor"
    assert "by heart" in says["Does it generalise?"].says


def test_few_held_out_records_leave_out_what_they_cannot_tell():
    train, unseen = pictures(MIXTURE, 60, seed=1), pictures(MIXTURE, 3, seed=2)
    found = examine(quick(exact(MIXTURE)), train, unseen, Asked(50, features="raw", start=1e-2))
    assert found.judgement is None
    assert found.beliefs == ()
    assert "3 are held out" in found.missing[0]
    assert found.memorisation.fresh == "training records to each other"
    assert not found.memorisation.found
    assert "no sign of memorising" in found.page().lower()
    alone = examine(exact(MIXTURE), None, unseen, Asked(50, start=1e-2))
    assert alone.bits.gap is None
    assert "not at hand" in alone.missing[0]


# the page and the terminal


def test_the_page_needs_nothing_beside_it(perfect, tmp_path):
    text = perfect.save(tmp_path / "new" / "report.html").read_text()
    assert "<script" not in text
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "url(" not in text
    assert "@import" not in text
    for picture in (perfect.pictures.samples, perfect.pictures.real, perfect.pictures.pairs):
        assert address(png(picture)) in text
    for what, value, _ in perfect.lines():
        assert f"<td>{what}</td>" in text
        assert value in text
    assert text.count("<svg") == 3  # losses, bits, beliefs
    assert not re.search(r"\bnan\b", re.sub(r"data:[^\"]*", "", text), re.IGNORECASE)
    assert perfect._repr_html_().startswith("<iframe")


def test_what_a_user_named_cannot_break_the_page(perfect):
    about = replace(perfect.about, run="<script>alert(1)</script>", made='a "b" & c')
    text = replace(perfect, about=about).page()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_the_table_says_how_to_read_each_number(perfect):
    console = Console(record=True, width=140, file=io.StringIO())
    print_report(perfect, console)
    said = console.export_text()
    for word in (
        "bits per dimension",
        "gap",
        "without bias",
        "kernel",
        "coverage",
        "C_T",
        "belief",
    ):
        assert word in said
    assert "Does it copy? No sign of memorising" in said


# runs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "run"
    line = "train ddpm --data digits --width 8 --multipliers 1 --blocks 1 --attention --dropout 0 "
    line += (
        "--batch 8 --learning-rate 1e-3 --warmup 1 --chain 20 --steps 4 --report-every 2 --seed 3"
    )
    cli.run([*shlex.split(line), "--threads", "1", "--out", str(out)])
    return out


def test_a_run_is_judged_by_its_own_data_without_being_told(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    page = tmp_path / "page.html"
    line = (
        f"evaluate {run} --count 30 --samples 40 --evaluations 3 --features components --threads 1"
    )
    cli.run([*line.split(), "--report", str(page)])
    said = " ".join(capsys.readouterr().out.split())
    for part in ("30 held-out records", "Does it generalise?", "Does it copy?", "histogram"):
        assert part in said
    text = page.read_text()
    assert "hush train ddpm --data digits" in text
    assert shlex.join(["hush", *line.split(), "--report", str(page)]) in text.replace("&#39;", "'")
    assert text.count("<svg") == 4  # the curves of its training, too


def test_python_returns_what_the_command_prints(run):
    one = hush.evaluate(run, samples=20, records=12, features="components", seed=5)
    assert (one.bits.held_out.count, one.judgement.compared) == (12, 20)
    assert set(one.about.curves) == {"training", "held out"}
    again = hush.evaluate(run, samples=20, records=12, features="components", seed=5)
    assert again.lines() == one.lines()


def test_the_parts_are_those_of_training(run):
    from hush.app.examining import parts, source

    system = hush.load(run)
    seen, unseen = parts(run, system, source(run, system, None))
    train, held_out = split(digits(), 0.05, seed=3)
    assert (seen.indices, unseen.indices) == (train.indices, held_out.indices)
    labels = torch.arange(4)
    other = InMemory(torch.zeros(4, 1, 8, 8), labels, digits().classes, name="other")
    seen, unseen = parts(run, system, other)
    assert (seen.indices, unseen) == (train.indices, other)


def test_data_that_moved_and_data_of_another_kind_are_named(run, tmp_path):
    from hush.app.examining import source

    system = hush.load(run)
    record = json.loads((run / "system.json").read_text())
    record["data"]["name"] = str(tmp_path / "gone")
    (tmp_path / "system.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"are not where they were: .*gone.*give --data"):
        source(tmp_path, system, None)
    with pytest.raises(UserError, match=r"shape \(1, 4, 4\).*same kind"):
        source(run, system, InMemory(torch.zeros(4, 1, 4, 4)))


def test_the_command_in_the_page_makes_the_same_run(run):
    """Parsed as `hush train` parses it, it is the settings that the run records."""
    record = Run(run).record
    words = shlex.split(command(record, run))
    assert words[:3] == ["hush", "train", "ddpm"]
    kind = meant("ddpm", words[3:])
    options = parsed("ddpm", kind, words[3:], _columns(), "hush train ddpm")
    assert jsonable(options.recipe) == record["recipe"]
    settings = jsonable(_settings(find("ddpm"), kind, options))
    settings.pop("recipe")
    assert settings == {key: record["arguments"][key] for key in settings}


def test_windows_of_series_are_judged_by_the_same_page(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    out = tmp_path / "run"
    line = "train ddpm --data sunspots --length 8 --width 8 --multipliers 1 --blocks 1 --attention "
    line += "--dropout 0 --batch 8 --warmup 1 --chain 20 --steps 2 --held-out .3 --threads 1 --out"
    cli.run([*line.split(), str(out)])
    asked = f"evaluate {out} --samples 30 --evaluations 3 --threads 1 --draws 2 --count 40"
    cli.run(asked.split())
    said = " ".join(capsys.readouterr().out.split())
    assert "principal components" in said
    assert "Does it copy?" in said
    assert "data:image/png" in (out / "report.html").read_text()


def test_data_of_other_classes_are_refused(run):
    from hush.app.examining import source

    other = InMemory(torch.zeros(4, 1, 8, 8), torch.arange(4) % 2, ("cat", "dog"))
    with pytest.raises(UserError, match="has 2 classes"):
        source(run, hush.load(run), other)

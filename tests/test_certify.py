"""Certificates name what is wrong, and only that: planted faults, and walks that are right."""

import json
import math
import sys
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from hush import schedules
from hush.app import certifying, cli
from hush.app.choices import SAMPLERS
from hush.denoisers import parameterisations
from hush.errors import UserError
from hush.rng import Streams
from hush.samplers import Ancestral, Heun, Multistep, Sampler, grids
from hush.schedules import Level
from hush.testing import (
    GaussianChain,
    Walk,
    certify,
    certify_parameterisation,
    flow_map,
    measures,
    peers,
    verdicts,
)
from hush.testing.mixtures import GaussianMixture

VP, UNIFORM = schedules.VariancePreserving(), grids.Uniform()


def found(sampler, schedule=VP, grid=UNIFORM, steps=(20,)):
    """The grave findings, by what they measure."""
    certificate = certify(Walk(sampler, schedule, grid), steps, (2,))
    assert certificate.right == (not any(finding.grave for finding in certificate.findings))
    return {one.measure: one.sentence for one in certificate.findings if one.grave}


@dataclass(frozen=True)
class Wrong(Sampler):
    """DDIM with one fault, by name."""

    fault: str = "none"

    def step(self, denoiser, state, s, cond=None):
        x, t = state.x, state.t
        mean = denoiser(x, t, cond).mean
        noise = (x - t.alpha * mean) / t.sigma
        if self.fault == "level":  # goes a third of the step less far than it says
            time = s.time + (t.time - s.time) / 3.0 if s.time > 0.0 else 0.0
            s_real = denoiser.process.schedule.level(time)
            return replace(state.moved(s_real.alpha * mean + s_real.sigma * noise, s), t=s)
        if self.fault == "noise":  # draws fresh noise without taking the old away
            kick = 0.1 * s.sigma * state.rng.normal(tuple(x.shape[1:]), x.dtype)
            return state.moved(s.alpha * mean + s.sigma * noise + kick, s)
        if self.fault == "nan" and state.steps >= 200:
            mean = mean * math.nan
        if self.fault == "table":
            [0.0] * state.steps[3]
        if self.fault == "index" and state.steps <= 2:
            [1.0, 2.0][state.steps + 1]
        if self.fault == "far" and state.steps >= 100:
            noise = 1.3 * noise
        if self.fault == "flat" and state.steps >= 100:
            noise = 0.0 * noise
        if self.fault == "shift":
            mean = mean + 0.3 * (t.time - s.time)
        if self.fault == "stays":
            s_left = max(s.sigma, 0.05)
            return state.moved(s.alpha * mean + s_left * noise, s)
        return state.moved(s.alpha * mean + s.sigma * noise, s)


class Boast(Wrong):
    """DDIM that claims to be of second order."""

    order = 2


@pytest.mark.parametrize(
    ("fault", "measure", "words"),
    [
        ("level", "level", "times that noise"),
        ("noise", "spread", "too wide"),
        ("nan", "finite", "Answers NaN or infinity at 200 steps."),
        ("index", "finite", "Reads past the end of its own table, IndexError"),
        ("far", "finite", "Diverges"),
        ("flat", "finite", "Ends on the mean of the data, whatever it starts from, at 200 steps."),
        ("table", "finite", "Raises TypeError"),
        ("shift", "mean", "The mean of Gaussian data comes out off by"),
        ("stays", "left", "Leaves noise of deviation 0.05 in the data"),
    ],
)
def test_a_planted_fault_is_named(fault, measure, words):
    named = found(Wrong(fault))
    assert words in named.get(measure, ""), named


def test_the_same_walk_without_a_fault_is_right_and_is_ddim():
    certificate = certify(Walk(Wrong(), VP, UNIFORM), (20,), (2,))
    ours = certify(Walk(Ancestral(0.0), VP, UNIFORM), (20,), (2,))
    assert certificate.right
    assert not certificate.findings
    for one, other in zip(certificate.rows, ours.rows, strict=True):
        assert one.law.spread == pytest.approx(other.law.spread, abs=1e-12)
        assert one.distances == pytest.approx(other.distances, rel=1e-9)


def test_an_order_that_is_only_claimed_is_named():
    sentence = found(Boast())["order"]
    assert sentence.startswith("Claims order 2, but on a grid that refines everywhere")
    assert "1/steps^1.0" in sentence


@pytest.mark.parametrize(
    ("sampler", "schedule", "grid", "steps"),
    [
        (Ancestral(1.0), schedules.Cosine(), UNIFORM, 20),
        (Heun(), schedules.Rectified(), UNIFORM, 20),
        (Multistep(), schedules.EDM(), grids.Karras(), 20),
        (Multistep(2), schedules.Tabulated.linear(), grids.Chain(), 20),
        (Heun(), schedules.VarianceExploding(), grids.Karras(), 20),
    ],
    ids=repr,
)
def test_what_is_right_is_called_right(sampler, schedule, grid, steps):
    assert found(sampler, schedule, grid, (steps,)) == {}


def test_a_chain_that_does_not_reach_noise_and_a_grid_that_begins_low_are_named():
    wavegrad = schedules.Tabulated(schedules.linear_betas(1000, 1e-6, 0.01))
    sentence = found(Ancestral(0.0), wavegrad, grids.Chain())["start"]
    assert sentence.startswith(f"Begins with {0.006623**0.5:.1%} of the data's own size")
    ddpm = schedules.Tabulated.linear()
    leading, trailing = (
        Walk(Ancestral(0.0), ddpm, grids.Chain(spacing=spacing))
        for spacing in ("leading", "trailing")
    )
    (low,) = verdicts.start(leading, (2,))
    assert low.grave
    assert "(2 steps)" in low.sentence
    assert not list(verdicts.start(trailing, (2,)))


@dataclass(frozen=True)
class Stops(grids.Grid):
    """A grid that ends at some noise."""

    def times(self, schedule):
        return torch.linspace(1.0, 0.02, self.steps + 1, dtype=torch.float64)


def test_a_grid_that_stops_early_is_named():
    left = VP.level(0.02).sigma
    assert f"Leaves noise of deviation {left:.2g}" in found(Heun(), grid=Stops())["left"]


def test_the_contraction_of_ddim_is_the_product_of_its_steps():
    """x_s = k x_t + (α_s - k α_t) v α_t/(α_t² v + σ_t²) x_t, k = σ_s/σ_t, on data of variance v."""
    levels, gain = grids.Uniform(5)(VP), 1.0
    for t, s in pairwise(levels):
        keep = s.sigma / t.sigma
        pull = (s.alpha - keep * t.alpha) * 0.25 * t.alpha / (0.25 * t.alpha**2 + t.sigma**2)
        gain *= keep + pull
    got, euler, flow = measures.contraction(Walk(Ancestral(0.0), VP, UNIFORM), 5)
    end = levels[0]
    assert got == pytest.approx(gain, rel=1e-12)
    assert euler == pytest.approx(gain, rel=1e-12)
    assert flow == pytest.approx((0.25 / (0.25 * end.alpha**2 + end.sigma**2)) ** 0.5, rel=1e-12)


def test_a_gaussian_chain_is_a_markov_chain_with_its_exact_posterior_and_flow():
    chain, level = GaussianChain(length=3, correlation=0.6), Level(0.5, 0.8, 0.6)
    place = torch.arange(3, dtype=torch.float64)
    sigma = 0.25 * 0.6 ** (place - place.unsqueeze(1)).abs()
    noisy = 0.64 * sigma + 0.36 * torch.eye(3, dtype=torch.float64)
    x = Streams.of(0, 5).normal((3,), torch.float64)
    wanted = 0.7 + (x - 0.56) @ torch.linalg.solve(noisy, 0.8 * sigma)
    torch.testing.assert_close(chain.posterior(x, level).mean, wanted, rtol=0, atol=1e-12)
    white = chain.whitened(chain.noised(x, level), level)
    torch.testing.assert_close(white.square().sum(1), x.square().sum(1), rtol=1e-12, atol=0)
    draws = chain.sample(Streams.of(1, 40000)) - 0.7
    fresh = draws[:, 2] - 0.6 * draws[:, 1]  # given its neighbour a place forgets the rest
    assert abs((fresh * draws[:, 0]).mean().item()) < 5.0 * 0.25 / 200.0
    single = GaussianChain(length=1, correlation=0.0)
    data = GaussianMixture.of([1.0], [[0.7]], [0.25])
    y = x[:, :1]
    torch.testing.assert_close(single.flow(y, level), flow_map(data, y, level), rtol=0, atol=1e-9)


def test_two_exact_draws_are_one_floor_apart_and_a_shift_is_more():
    one, two = (measures.mixture(2).sample(Streams.of(seed, 2000)) for seed in (1, 2))
    assert measures.sliced(one, one) == 0.0
    assert measures.sliced(one, two) < 0.3 * measures.sliced(one, two + 1.0)
    moved = measures.sliced(one, one + torch.tensor([1.0, 0.0]))
    assert moved == pytest.approx(0.5**0.5, rel=0.2)  # the mean square of a direction's share


def test_parameterisations_are_told_what_they_do_to_a_networks_error():
    trip, findings = certify_parameterisation(parameterisations.Noise(), schedules.Tabulated())
    assert not findings[0].grave
    assert "a network error of 1 % becomes 1.5" in findings[0].sentence
    assert trip.level.alpha == pytest.approx(0.00635, rel=0.01)
    _, findings = certify_parameterisation(parameterisations.Noise(), schedules.Rectified())
    assert findings[0].grave
    assert "divides by α = 0" in findings[0].sentence
    for schedule in (schedules.Rectified(), schedules.Cosine(), schedules.EDM()):
        trip, findings = certify_parameterisation(parameterisations.V(), schedule)
        assert trip.error < 1e-5
        assert findings == ()
    deep = schedules.Cosine(log_snr_min=-40.0)
    _, findings = certify_parameterisation(parameterisations.Noise(), deep)
    assert "in float32 alone" in findings[0].sentence


MINE = """
from dataclasses import dataclass
from hush.samplers import Sampler

@dataclass(frozen=True)
class Mine(Sampler):
    factor: float = {factor}

    def step(self, denoiser, state, s, cond=None):
        x, t = state.x, state.t
        mean = denoiser(x, t, cond).mean
        noise = self.factor * (x - t.alpha * mean) / t.sigma
        return state.moved(s.alpha * mean + s.sigma * noise, s)
"""


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


def hush(*words):
    cli.run(["certify", *map(str, words), "--dimensions", "2"])


def test_a_class_of_the_users_own_passes_from_a_file_and_json_has_the_figures(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(MINE.format(factor=1.0))
    out = tmp_path / "figures.json"
    hush("--sampler", tmp_path / "mine.py:Mine", "--schedule", "rectified", "--json", out)
    said = capsys.readouterr().out
    assert "mine.py:Mine" in said
    assert "Nothing is wrong." in said
    (certificate,) = json.loads(out.read_text())["certificates"]
    assert certificate["right"] is True
    assert certificate["rows"][0]["steps"] == 20
    assert certificate["refined"] == pytest.approx(1.0, abs=0.1)


def test_what_is_wrong_is_a_sentence_and_exit_status_1(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(MINE.format(factor=1.0))
    with pytest.raises(SystemExit) as caught:
        hush("--sampler", f"{tmp_path}/mine.py:Mine:factor=0.9", "--schedule", "vp")
    assert caught.value.code == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "What is wrong" in said
    assert "where the state has" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--sampler", "huen"), "did you mean heun?"),
        (("--schedule", "nowhere.py:Mine"), "There is no file nowhere.py."),
        (("--sampler", "hush.samplers:Huen"), "There is no class 'Huen' in hush.samplers"),
        (("--schedule", "no.such:Thing"), "no.such cannot be imported"),
        (("--steps", "0"), "least one number of steps, each 1 or more"),
        (("--against", "comfort"), "only diffusers is known"),
        (("--schedule", "vp", "--sampler", "ddim", "--grid", "chain"), "Chain picks steps"),
    ],
)
def test_mistakes_are_one_sentence(words, sentence):
    with pytest.raises(UserError, match=sentence.replace("?", r"\?")):
        hush(*words)


def test_a_module_is_found_by_name(capsys):
    hush("--sampler", "hush.samplers:Heun", "--schedule", "cosine", "--parameterisation", "v")
    said = capsys.readouterr().out
    assert "hush.samplers:Heun" in said.replace("\n", "")
    assert "what a network says" in said


def test_all_names_every_sampler_and_every_schedule():
    options = certifying.Options(all=True)
    names = {(one.name, one.where.partition(",")[0]) for one in certifying._subjects(options)}
    assert len(names) == len(SAMPLERS) * len(certifying.schedules())


def test_diffusers_ddim_on_linspace_is_told_another_level_and_euler_is_right(capsys):
    pytest.importorskip("diffusers")
    with pytest.raises(SystemExit) as caught:
        hush("--against", "diffusers", "--only", "DDIM linspace", "--steps", "5")
    assert caught.value.code == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "shrink to 0.402 so; Euler over the levels it names gives 0.225" in said
    linspace = {one.name: one for one in peers.diffusers() if "linspace" in one.name}
    assert certify(linspace["Euler linspace"], (5,), (2,)).right


def test_a_diffusers_that_is_not_there_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(UserError, match="pip install diffusers"):
        hush("--against", "diffusers")


def test_the_page_shows_the_command_it_was_measured_with():
    page = (Path(__file__).parents[1] / "docs" / "certify.md").read_text()
    assert "hush certify --against diffusers" in page
    assert "0.402" in page

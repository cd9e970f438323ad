"""AnoDDPM: the noise in its chain, and a run of it."""

import json

import pytest
import safetensors.torch
import torch

from hush import systems
from hush.data import InMemory
from hush.errors import UserError
from hush.networks import Backbone
from hush.noise import Simplex, White
from hush.rng import Streams
from hush.systems.anoddpm import anoddpm
from hush.systems.index import load
from hush.tasks.detect import Detect
from hush.training.loop import train

TINY = Backbone(width=8, multipliers=(1, 2), blocks=1, attention=(1,), dropout=0.1)
SHORT = {
    "batch": 4,
    "report_every": 2,
    "sample_every": 100,
    "save_every": 2,
    "workers": 1,
    "held_out": 0.2,
    "show": False,
}


def made(**changes):
    torch.manual_seed(3)
    return anoddpm((1, 8, 8), (), TINY, frequency=8.0, octaves=3, chain=25, **changes)


@pytest.fixture(scope="module")
def source():
    return InMemory(Streams.of(1, 20).uniform((1, 8, 8)).float())


def test_the_defaults_are_the_paper_s():
    system = anoddpm((1, 256, 256), backbone=TINY)
    process = system.denoiser.process
    assert process.noise == Simplex(64.0, 6, 0.8)
    assert process.schedule.steps == 1000
    # ᾱ_250 of the linear chain (arXiv:2006.11239), where detection begins
    assert process.schedule.level(Detect().depth).alpha ** 2 == pytest.approx(0.524085, abs=1e-6)


def test_white_is_ddpm_to_the_bit(source):
    """The same network and noise: only the noise law tells the two apart."""
    ours = made(noise="white")
    torch.manual_seed(3)
    theirs = systems.ddpm((1, 8, 8), (), TINY, chain=25)
    assert ours.denoiser.process == theirs.denoiser.process
    assert ours.denoiser.process.noise == White()
    x_0, rng = 2.0 * source.read(range(8))["image"] - 1.0, Streams.of(2, 8)
    losses = [s.objective(s.denoiser.eval(), x_0, rng) for s in (ours, theirs)]
    assert torch.equal(*losses)
    assert torch.equal(*(s.sample(2, seed=1) for s in (ours, theirs)))


def test_the_network_is_taught_the_noise_that_was_drawn(source):
    """L = mean (ε - ε_θ)²: of a network that answers 0, as one does that has just been made, the
    mean square of the simplex noise of each picture, which is not that of white noise."""
    system = made()
    x_0, rng = 2.0 * source.read(range(16))["image"] - 1.0, Streams.of(0, 16)
    loss = system.objective(system.denoiser.eval(), x_0, rng)
    noise = Simplex(8.0, 3)(rng.next(), (1, 8, 8))
    torch.testing.assert_close(loss, noise.square().mean((1, 2, 3)), rtol=1e-4, atol=1e-5)


def test_simplex_noise_hides_what_white_noise_averages_away():
    """What a mean over n pixels still knows: its noise is σ/√n where white, and as loud as at one
    pixel, or nearly, where bumps are larger than the patch."""
    system, event = anoddpm((1, 16, 16), (), TINY), (1, 16, 16)
    level = system.denoiser.process.schedule.level(0.25)
    found = {}
    for law in (Simplex(), White()):
        process = type(system.denoiser.process)(system.denoiser.process.schedule, law)
        x_t = process.marginal(torch.zeros(600, *event), level).sample(Streams.of(0, 600))
        found[law] = x_t[:, :, 4:12, 4:12].mean((1, 2, 3)).std().item() / level.sigma
    assert found[White()] == pytest.approx(1 / 8, rel=0.15)
    assert found[Simplex()] > 0.6


def weights(path):
    return safetensors.torch.load_file(path)


def test_a_run_goes_on_bit_for_bit_and_is_loaded_with_its_noise(tmp_path, source, capsys):
    train(made(), source, tmp_path / "whole", steps=5, **SHORT)
    for steps in (3, 5):
        train(made(), source, tmp_path / "broken", steps=steps, **SHORT)
    for name in ("model.safetensors", "ema.safetensors", "metrics.jsonl"):
        whole, broken = (tmp_path / run / name for run in ("whole", "broken"))
        assert whole.read_bytes() == broken.read_bytes(), name
    record = json.loads((tmp_path / "whole" / "system.json").read_text())
    assert record["name"] == "anoddpm"
    assert record["arguments"]["frequency"] == 8.0
    drawn = [path.read_bytes() for path in sorted((tmp_path / "whole").rglob("*.png"))]
    assert drawn, "pictures are drawn though nothing can be compared with a Gaussian"


def test_a_stored_run_is_found_again(tmp_path, source):
    if "anoddpm" not in systems.TABLE:
        pytest.skip("not in the table of systems")
    trained = train(made(), source, tmp_path / "run", steps=2, **SHORT)
    again = load(tmp_path / "run")
    assert again.denoiser.process == trained.denoiser.process
    some = source.read(range(3))["image"]
    maps = [Detect(0.25, 2)(system, some).map for system in (trained, again)]
    assert torch.equal(*maps)


def test_its_likelihood_is_refused_in_words(source):
    from hush.evaluation import likelihood

    with pytest.raises(UserError, match=r"Simplex.*not Gaussian"):
        likelihood(made(), source, steps=2)

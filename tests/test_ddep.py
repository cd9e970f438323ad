"""DDeP: one noise level, an encoder that is held, and what labels make of both."""

from dataclasses import replace

import pytest
import torch

import hush
from hush.app import cli
from hush.data import InMemory, split
from hush.errors import UserError
from hush.networks import Backbone
from hush.rng import Streams
from hush.system import Recipe, rebuilt
from hush.systems.ddep import ddep
from hush.tasks.features import Look, describe
from hush.tasks.fine_tune import FineTuned, fine_tune
from hush.tasks.recognise import ENCODER, Recognition, recognise
from hush.training.loop import train
from hush.training.stored import load_into

SMALL = Backbone(width=8, multipliers=(1, 2), blocks=1, attention=(), dropout=0.0)
SHORT = Recipe(batch=8, learning_rate=1e-2, warmup=1, steps=5, held_out=0.2, workers=1)


def system(**settings):
    torch.manual_seed(0)
    return ddep((1, 8, 8), SMALL, **settings)


def painted(count, seed=0, contrast=0.5):
    """Pictures of which one half, left or right, is lighter; the label says which."""
    label = torch.arange(count) % 2
    left = torch.arange(8).lt(4).float().expand(1, 8, 8)
    light = torch.where(label.reshape(-1, 1, 1, 1) == 0, left, 1.0 - left)
    noise = Streams.of(seed, count).uniform((1, 8, 8), torch.float32)
    return contrast * light + (1.0 - contrast) * noise, label, light[:, 0].long()


def source(count=40, contrast=0.5):
    pictures, label, _ = painted(count, contrast=contrast)
    return InMemory(pictures, label)


def seen(model, x_0, rng):
    """What the network is given, and what it is asked for, in a step of training."""
    given = []
    watch = model.denoiser.network.register_forward_pre_hook(lambda _, args: given.append(args))
    loss = model.objective(model.denoiser, x_0, rng)
    watch.remove()
    return given[0][0], given[0][1], loss


@pytest.mark.parametrize("sigma", [0.05, 0.22, 1.0, 3.0])
def test_the_scaled_input_of_unit_variance_data_has_unit_variance(sigma):
    count = 4000
    x_0 = Streams.of(1, count).normal((1, 8, 8))
    given, clock, _ = seen(system(sigma=sigma), x_0, Streams.of(2, count))
    assert given.var().item() == pytest.approx(1.0, abs=0.01)
    assert (clock == clock[0]).all()


@pytest.mark.parametrize("scaled", [True, False])
def test_the_input_is_the_papers_and_the_loss_that_of_its_noise(scaled):
    """A silent network answers 0, so its loss is the noise's own square."""
    sigma, x_0 = 0.22, Streams.of(1, 6).normal((1, 8, 8))
    given, _, loss = seen(system(sigma=sigma, scaled=scaled), x_0, Streams.of(2, 6))
    noise = Streams.of(2, 6).next().normal((1, 8, 8))
    expected = (x_0 + sigma * noise) * ((1.0 + sigma**2) ** -0.5 if scaled else 1.0)
    torch.testing.assert_close(given, expected)
    torch.testing.assert_close(loss, noise.square().flatten(1).mean(1), rtol=1e-4, atol=1e-4)


def test_only_the_way_up_learns_noise_and_the_run_keeps_the_whole(tmp_path):
    model = recognise(system(), source(), steps=5, batch=8)
    before = {name: weight.clone() for name, weight in model.denoiser.network.named_parameters()}
    learnt = train(model, source(), tmp_path / "run", SHORT, show=False)
    for name, weight in learnt.denoiser.network.named_parameters():
        held = name.partition(".")[0] in ENCODER
        assert torch.equal(weight, before[name]) == held, name
    again = rebuilt(ddep, learnt.arguments)
    load_into(again.denoiser, again.codec, tmp_path / "run", "ema")
    for name, weight in again.denoiser.network.named_parameters():
        assert torch.equal(weight, learnt.denoiser.network.get_parameter(name))
        assert weight.requires_grad == (name.partition(".")[0] not in ENCODER)


def test_a_run_that_recognises_first_is_one_of_a_taught_model_and_resumes_to_the_bit(
    tmp_path, monkeypatch
):
    """It begins where `recognise` ends, of the records it learns from; and whoever goes on from a
    checkpoint does not teach again."""
    model = system(recognise=4, classes=("left", "right"))
    whole = train(model, source(), tmp_path / "whole", SHORT, show=False)
    seen, _ = split(source(), SHORT.held_out, seed=SHORT.seed)
    taught = Recognition(4)(system(), seen, SHORT.seed)
    by_hand = train(taught, source(), tmp_path / "by-hand", SHORT, show=False)
    for one, two in zip(whole.denoiser.parameters(), by_hand.denoiser.parameters(), strict=True):
        assert torch.equal(one, two)
    broken, recipe = tmp_path / "broken", replace(SHORT, steps=2)
    train(system(recognise=4, classes=("left", "right")), source(), broken, recipe, show=False)
    monkeypatch.setattr(Recognition, "__call__", lambda *_: pytest.fail("taught again"))
    train(system(recognise=4, classes=("left", "right")), source(), broken, SHORT, show=False)
    for file in ("model.safetensors", "ema.safetensors"):
        assert (broken / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_the_command_line_teaches_the_encoder(tmp_path):
    line = (
        f"train ddep --data digits --recognise 2 --out {tmp_path}/run --width 8 --multipliers 1 2 "
    )
    line += "--blocks 1 --attention --dropout 0 --batch 8 --warmup 1 --steps 2 --threads 1"
    cli.run(line.split())
    again = hush.load(tmp_path / "run")
    assert again.arguments["recognise"] == 2
    torch.manual_seed(0)
    first = ddep((1, 8, 8), SMALL, recognise=2, classes=tuple("0123456789"))
    moved = again.denoiser.network.stem.weight - first.denoiser.network.stem.weight
    assert moved.abs().max() > 1e-4


def test_the_encoder_learns_to_tell_classes_and_nothing_else_moves():
    first = system()
    model = recognise(first, source(contrast=0.2), steps=60, batch=16, learning_rate=1e-2)
    moved = {
        name.partition(".")[0]
        for (name, old), new in zip(
            first.denoiser.network.named_parameters(),
            model.denoiser.network.parameters(),
            strict=True,
        )
        if not torch.equal(old, new)
    }
    assert moved == set(ENCODER)
    for name, weight in model.denoiser.network.named_parameters():
        assert weight.requires_grad == (name.partition(".")[0] not in ENCODER)
    first.codec.load_state_dict(model.codec.state_dict())
    assert _separation(model) > 5.0 > _separation(first)


def _separation(model):
    """How far the deepest maps of the two classes lie apart, in deviations within a class."""
    pictures, label, _ = painted(40, seed=9, contrast=0.2)
    deepest = describe(model, pictures, Look((1.0,), ("middle.1",))).mean((2, 3))
    one, two = deepest[label == 0], deepest[label == 1]
    direction = one.mean(0) - two.mean(0)
    within = torch.cat((one - one.mean(0), two - two.mean(0))) @ direction
    return (direction @ direction / within.std()).item()


def test_fine_tuning_learns_the_labels_exactly_and_is_the_same_after_saving(tmp_path):
    model = system()
    model.codec.fit((painted(40)[0],))
    pictures, _, masks = painted(8)
    before = [weight.clone() for weight in model.denoiser.parameters()]
    tuned = fine_tune(model, pictures, masks, ("dark", "light"), steps=60, learning_rate=5e-3)
    unseen, _, truth = painted(10, seed=4)
    labels, sure = tuned(unseen)
    assert torch.equal(labels, truth)
    assert sure.min() > 0.5
    for weight, old in zip(model.denoiser.parameters(), before, strict=True):
        assert torch.equal(weight, old)
    tuned.save(tmp_path)
    again = FineTuned.load(tmp_path, model)
    for one, two in zip(again(unseen), (labels, sure), strict=True):
        assert torch.equal(one, two)


def test_what_does_not_fit_is_told():
    with pytest.raises(UserError, match="ddep needs a U-Net, got --network dit"):
        ddep((1, 8, 8), Backbone(network="dit"))
    with pytest.raises(UserError, match=r"--recognise 3 wants data with classes .*, got 0"):
        system(recognise=3)
    with pytest.raises(UserError, match="no classes for the encoder"):
        recognise(system(), InMemory(painted(4)[0]))
    dit = hush.systems.ddpm((1, 8, 8), backbone=Backbone(network="dit", width=16, depth=2, head=8))
    pictures, _, masks = painted(2)
    with pytest.raises(UserError, match="U-Net, got a DiT"):
        fine_tune(dit, pictures, masks, ("dark", "light"))

"""How a batch is split changes nothing: what a sample loses, and what it teaches, are its own."""

import inspect
from dataclasses import replace

import pytest
import torch
from windows import CHANNELS, LENGTH, windows

from hush import systems
from hush.networks import Backbone, Dropout, positioned
from hush.objectives import Denoising, HighOrder, OrderAgnostic, SlicedScoreMatching
from hush.objectives.times import LossAware
from hush.rng import Streams
from hush.systems.taken import Taken
from hush.tensors import each

START, COUNT = 62, 8  # across an edge of the groups of `Stratified`
WHOLE, *PARTS = slice(0, COUNT), slice(0, 3), slice(3, COUNT)
CONVOLUTIONS = Backbone(width=8, multipliers=(1, 2), blocks=1, attention=(1,), dropout=0.2)
AUTOENCODER = Taken(
    "autoencoder", {"shape": [1, 8, 8], "width": 8, "blocks": 1, "multipliers": [1, 2]}
)
TRANSFORMER = Backbone("dit", width=8, depth=2, head=8, dropout=0.2)
CLOSE = {torch.float64: 1e-9, torch.float32: 1e-5}
# analytic_dpm is told again of a trained run, and never trained.
TRAINED = [(name, {}) for name in systems.index.TABLE if name != "analytic_dpm"] + [
    ("ddpm", {"backbone": TRANSFORMER}),
    ("energy", {"backbone": TRANSFORMER}),
    ("improved_ddpm", {"loss": "bound", "chain": 8}),
    ("improved_ddpm", {"variance": "small", "predict": "v"}),
    ("d3pm", {"kernel": "absorbing", "logistic": False}),
    ("vdm", {"learn": False}),
    ("autoencoder", {"kind": "vq", "entries": 16}),
]


def records(kind):
    """(shape, levels, a batch of records) of a kind of data."""
    if kind == "series":
        return (CHANNELS, LENGTH), None, windows(COUNT)
    images = (Streams.of(1, COUNT).uniform((1, 8, 8)) * 16).round() / 16
    return (1, 8, 8), 17, {"image": images.float(), "label": torch.arange(COUNT) % 3}


def trained(name, settings):
    """A small system in training with nothing silent in it, and a batch of its data; in float64,
    but where tokens are looked at in float32."""
    torch.manual_seed(3)
    build = systems.index.find(name)
    known = inspect.signature(build).parameters
    usual = {"classes": ("0", "1", "2"), "levels": 17, "tasks": ("inpaint", "jpeg")}
    usual |= {"backbone": CONVOLUTIONS, "width": 8, "blocks": 1, "autoencoder": AUTOENCODER}
    usual |= {"depth": 2, "heads": 2, "states": 8, "dropout": 0.2}
    usual = {key: value for key, value in usual.items() if key in known}
    shape, levels, record = records(systems.TABLE[name].data)
    system = build(shape, **{**usual, **settings})
    system.codec.fit([next(iter(record.values()))], levels)
    x_0, cond, _ = system.learnt(record, Streams.of(5, COUNT))
    for parameter in system.denoiser.train().parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    if x_0.is_floating_point():
        x_0, _ = x_0.double(), system.denoiser.double()
    if isinstance(times := system.objective.times, LossAware):
        times.losses.uniform_()
        times.seen.fill_(times.losses.shape[1])
    return system, x_0, cond


def taught(system, x_0, cond, part, seed=7, mask=None):
    """The loss of each sample of a part of the batch, and the gradient of their sum."""
    weights = [p for p in system.denoiser.parameters() if p.requires_grad]
    rng, mask = Streams.of(11, COUNT, START)[part], None if mask is None else mask[part]
    with positioned(system.denoiser, seed, START + part.start):
        told = each(lambda value: value[part], cond)
        loss = system.objective(system.denoiser, x_0[part], rng, told, mask)
        gradient = torch.autograd.grad(loss.sum(), weights, materialize_grads=True)
    return loss.detach(), torch.cat([slope.flatten() for slope in gradient])


@pytest.mark.parametrize(("name", "settings"), TRAINED, ids=str)
def test_the_parts_of_a_batch_lose_and_teach_what_the_whole_does(name, settings):
    system, x_0, cond = trained(name, settings)
    whole, slope = taught(system, x_0, cond, WHOLE)
    losses, slopes = zip(*(taught(system, x_0, cond, part) for part in PARTS), strict=True)
    close = CLOSE[slope.dtype]
    torch.testing.assert_close(torch.cat(losses), whole, rtol=close, atol=0)
    torch.testing.assert_close(sum(slopes), slope, rtol=0, atol=close * slope.abs().max().item())
    if not any(isinstance(part, Dropout) for part in system.denoiser.modules()):
        return
    other, _ = taught(system, x_0, cond, WHOLE, seed=8)
    assert ((other - whole).abs() > 1e-6 * whole.abs()).all()  # the masks are heard


@pytest.mark.parametrize(
    "objective", [Denoising(), SlicedScoreMatching(), HighOrder(), OrderAgnostic()], ids=repr
)
def test_what_is_hidden_of_one_sample_does_not_move_another(objective):
    """Each sample counts another number of its elements."""
    name = "ardm" if isinstance(objective, OrderAgnostic) else "ddpm"
    system, x_0, cond = trained(name, {"backbone": TRANSFORMER})
    system = replace(system, objective=objective)
    mask = torch.arange(64).reshape(1, 1, 8, 8) < 7 * torch.arange(1, 9).reshape(-1, 1, 1, 1)
    whole, slope = taught(system, x_0, cond, WHOLE, mask=mask)
    losses = [taught(system, x_0, cond, part, mask=mask)[0] for part in PARTS]
    torch.testing.assert_close(torch.cat(losses), whole, rtol=CLOSE[slope.dtype], atol=0)

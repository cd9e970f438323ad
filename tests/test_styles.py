"""What U-Nets of the literature do differently: the laws of networks hold in every style."""

import math

import pytest
import torch
from test_networks import inputs, stirred, unet
from torch import nn

from hush.errors import UserError
from hush.networks import Backbone, UNet
from hush.networks.blocks import Style, sinusoids
from hush.networks.layers import resampled

STYLES = [
    Style(groups=2, eps=1e-3, steer="add", heads=2, middle="bare", period=100.0, waves=6),
    Style(resize="corner", middle="none", shortcut=False),
    Style(resize="residual", middle="attend", steer="add"),
]


@pytest.mark.parametrize("style", STYLES, ids=["added", "corner", "residual"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_every_style_keeps_the_laws(style, dims):
    """The size of what was asked, silence at the start, members apart, all weights in use."""
    network = unet(dims, style=style)
    x, clock = inputs(dims, (5, 6, 3)[:dims])
    assert torch.equal(network(x, clock), torch.zeros_like(x))
    whole = stirred(network)(x, clock)
    torch.testing.assert_close(network(x[1:2], clock[1:2]), whole[1:2], rtol=1e-11, atol=1e-11)
    whole.square().sum().backward()
    assert all(parameter.grad.abs().max() > 0.0 for parameter in network.parameters())


def test_styles_differ_where_they_say():
    x, clock = inputs(size=(8, 8))
    networks = [unet(style=style) for style in (Style(), *STYLES)]
    answers = [stirred(network)(x, clock) for network in networks]
    assert all((a - b).abs().max() > 1e-3 for i, a in enumerate(answers) for b in answers[:i])
    attends = [network.middle[0].attention is not None for network in networks]
    assert attends == [True, True, False, True]
    assert [network.shortcut is None for network in networks] == [False, False, True, False]
    assert networks[1].down[0].blocks[0].residual.norm_in.num_groups == 2


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_resampling_repeats_and_averages(dims):
    x = torch.arange(2.0 * 3 * 4**dims).reshape(2, 3, *(4,) * dims)
    twice = resampled(x, 2.0)
    assert torch.equal(twice[(..., *(slice(1, None, 2),) * dims)], x)
    assert torch.equal(resampled(twice, 0.5), x)
    assert torch.allclose(resampled(x, 0.5).mean(), x.mean())


def test_a_corner_begins_where_the_picture_does():
    """Padded around, place i of the half sees 2i - 1 … 2i + 1; at the corner, 2i … 2i + 2."""
    for resize, first in (("convolution", -1), ("corner", 0)):
        network = unet(style=Style(resize=resize), blocks=0, multipliers=(1, 1))
        half = stirred(network).down[0].resize
        x = torch.zeros(1, 8, 8, 8).double()
        still = half(x)
        for place in range(8):
            x.zero_()[..., place] = 1.0
            seen = (half(x) - still).abs().amax((0, 1, 2)) > 0
            assert seen.tolist() == [2 * i + first <= place <= 2 * i + first + 2 for i in range(4)]


def test_a_clock_of_another_period():
    clock = torch.tensor([3.0])
    slow = sinusoids(clock, 4, period=100.0)
    angle = torch.tensor([3.0, 3.0 * math.sqrt(1 / 100)])
    torch.testing.assert_close(slow, torch.cat((angle.cos(), angle.sin()))[None])


def test_widths_need_not_be_multiples():
    network = UNet(2, 6, (1, 7 / 6, 10 / 6), blocks=1, attention=(), style=Style(groups=1))
    widths = [stage.blocks[0].residual.conv_in.out_channels for stage in network.down]
    assert widths == [6, 7, 10]


def test_plain_networks_are_one_thing_everywhere():
    network = Backbone(width=24, multipliers=(1, 3), attention=(0,), head=64, plain=True).build(
        (1, 8, 8)
    )
    norms = {norm.num_groups for norm in network.modules() if isinstance(norm, nn.GroupNorm)}
    heads = [b.attention.heads for b in (network.down[0].blocks[0], network.middle[0])]
    assert (norms, heads, network.shortcut) == ({6}, [3, 9], None)
    for wrong in ({"network": "dit"}, {"multipliers": (2, 2)}):
        with pytest.raises(UserError, match="--plain"):
            Backbone(plain=True, **wrong)


def test_the_names_of_weights_are_a_promise():
    """What a run stored is found again: hush's own network, as in its first release."""
    parts = ("norm_in", "norm_out", "conv_in", "conv_out", "steer")
    residual = [f"residual.{part}" for part in parts]
    attention = [f"attention.{part}" for part in ("norm", "qkv", "out")]
    blocks = {
        "down.0.blocks.0": residual,
        "down.1.blocks.0": [*residual, "residual.shortcut", *attention],
        "up.0.blocks.0": [*residual, "residual.shortcut", *attention],
        "up.0.blocks.1": [*residual, "residual.shortcut", *attention],
        "up.1.blocks.0": [*residual, "residual.shortcut"],
        "up.1.blocks.1": [*residual, "residual.shortcut"],
        "middle.0": [*residual, *attention],
        "middle.1": residual,
    }
    names = {f"{block}.{part}" for block, parts in blocks.items() for part in parts}
    names |= {"embedding.first", "embedding.second", "stem", "down.0.resize", "up.0.resize.conv"}
    names |= {"norm", "head", "shortcut.gain"}
    network = UNet(2, 8, (1, 2), blocks=1)
    expected = {f"{name}.{kind}" for name in names for kind in ("weight", "bias")}
    assert set(network.state_dict()) == expected

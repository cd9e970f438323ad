"""U-Nets of diffusers in hush and back: the same answers, to rounding, under either name."""

import json
from dataclasses import replace

import pytest
import torch

from hush.errors import UserError
from hush.interop.diffusers import unet_from_diffusers, unet_to_diffusers
from hush.networks import Backbone, Features, Labels, UNet
from hush.networks.blocks import Style

diffusers = pytest.importorskip("diffusers")
from pipelines import DDPM, SMALL, stirred  # noqa: E402

RESNET = {"downsample_type": "resnet", "upsample_type": "resnet"}
CASES = {
    "default": {},
    "ddpm": DDPM,
    "scale and shift": {"resnet_time_scale_shift": "scale_shift"},
    "normed": {"resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 4},
    "heads": {"attention_head_dim": 4, "norm_eps": 1e-3},
    "classes": {"num_class_embeds": 3},
    "no attention across": {"add_attention": False},
    "attention across alone": {
        "down_block_types": ("DownBlock2D",) * 2,
        "up_block_types": ("UpBlock2D",) * 2,
    },
    "three widths": {
        "block_out_channels": (8, 12, 20),
        "down_block_types": ("AttnDownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D", "AttnUpBlock2D"),
        "attention_head_dim": 4,
        "layers_per_block": 2,
        "out_channels": 4,
    },
    "consistency": {  # as OpenAI's consistency models are kept there
        "down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
        "resnet_time_scale_shift": "scale_shift",
        "attn_norm_num_groups": 4,
        "num_class_embeds": 3,
        **RESNET,
    },
    "one resolution": {
        "block_out_channels": (8,),
        "down_block_types": ("AttnDownBlock2D",),
        "up_block_types": ("AttnUpBlock2D",),
    },
}


def theirs(**options):
    return stirred(diffusers.UNet2DModel(**{**SMALL, **options}))


def asked(channels=2, size=8):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, channels, size, size, generator=generator)
    return x, torch.tensor([0.0, 37.0, 999.0])


def configured(model):
    """What stands in its config.json."""
    return json.loads(model.to_json_string())


@torch.no_grad()
def apart(ours, model):
    """The largest difference between the two networks' answers, as a share of the largest."""
    x, clock = (tensor.to(model.dtype) for tensor in asked(model.config.in_channels))
    labels = torch.tensor([0, 1, 2]) if model.config.num_class_embeds else None
    answer = model(x, clock, class_labels=labels).sample
    return float((ours(x, clock, labels) - answer).abs().max() / answer.abs().max())


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_theirs_answers_the_same_here(options):
    model = theirs(**options)
    ours = unet_from_diffusers(configured(model), model.state_dict())
    assert apart(ours, model) < 1e-5
    assert apart(ours.double(), model.double()) < 1e-9


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_there_and_back(options):
    """What is written loads there, answers the same, and comes back bit for bit."""
    model = theirs(**options)
    ours = unet_from_diffusers(configured(model), model.state_dict())
    config, state = unet_to_diffusers(ours)
    config = json.loads(json.dumps(config))
    again = diffusers.UNet2DModel.from_config(config)
    again.load_state_dict(state)
    assert apart(ours, again.eval()) < 1e-5
    back = unet_from_diffusers(config, state)
    assert back.state_dict().keys() == ours.state_dict().keys()
    assert all(torch.equal(back.state_dict()[k], v) for k, v in ours.state_dict().items())
    x, clock = asked()
    labels = torch.tensor([0, 1, 2]) if config["num_class_embeds"] else None
    assert torch.equal(back(x, clock, labels), ours(x, clock, labels))


@pytest.mark.parametrize(
    "backbone",
    [
        Backbone(width=16, multipliers=(1, 2), blocks=1),
        Backbone(width=24, multipliers=(1, 2, 3), blocks=1, attention=(0, 2), head=16),
        Backbone(width=8, multipliers=(1, 1), attention=()),
    ],
    ids=str,
)
@pytest.mark.parametrize("classes", [0, 3])
def test_a_plain_network_of_hush_answers_the_same_there(backbone, classes):
    ours = stirred(replace(backbone, plain=True).build((2, 8, 8), classes), 0.1)
    config, state = unet_to_diffusers(ours)
    model = diffusers.UNet2DModel.from_config(config)
    model.load_state_dict(state)
    assert apart(ours, model.eval()) < 1e-5
    back = unet_from_diffusers(config, state, absent=classes > 0)
    x, clock = asked()
    assert torch.equal(back(x, clock), ours(x, clock))


def test_older_names_of_attention():
    model = theirs(**DDPM)
    older = {
        ".to_q.": ".query.",
        ".to_k.": ".key.",
        ".to_v.": ".value.",
        ".to_out.0.": ".proj_attn.",
    }
    state = model.state_dict()
    for new, old in older.items():
        state = {name.replace(new, old): tensor for name, tensor in state.items()}
    assert any("proj_attn" in name for name in state)
    assert apart(unet_from_diffusers(configured(model), state), model) < 1e-5


def test_a_network_that_was_never_without_a_class():
    model = theirs(num_class_embeds=3)
    ours = unet_from_diffusers(configured(model), model.state_dict())
    x, clock = asked()
    for cond in (None, torch.tensor([0, -1, 2])):
        with pytest.raises(UserError, match="never without a class"):
            ours(x, clock, cond)


def test_the_last_class_may_be_none():
    model = theirs(num_class_embeds=3)
    ours = unet_from_diffusers(configured(model), model.state_dict(), absent=True)
    x, clock = asked()
    last = model(x, clock, class_labels=torch.full((3,), 2)).sample
    torch.testing.assert_close(ours(x, clock), last, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"time_embedding_type": "fourier"}, "time_embedding_type = 'fourier'"),
        ({"act_fn": "mish"}, "act_fn = 'mish'"),
        ({"center_input_sample": True}, "center_input_sample"),
        ({"mid_block_type": None}, "mid_block_type"),
        ({"class_embed_type": "timestep"}, "class_embed_type"),
        ({"resnet_time_scale_shift": "spatial"}, "known are 'default', 'scale_shift'"),
        ({"downsample_padding": 2}, "known are 0, 1"),
        ({"down_block_types": ("SkipDownBlock2D",) * 2}, "'SkipDownBlock2D'"),
        ({"down_block_types": ("DownBlock2D",) * 2}, "same resolutions both ways"),
        ({"up_block_types": ("UpBlock2D",) * 3}, "one for each of block_out_channels"),
        ({"downsample_type": "resnet", "block_out_channels": (8, 8, 8)}, "one for each"),
        ({"down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D")}, "all resolutions"),
        ({"norm_num_groups": 3}, "block_out_channels = .*3 groups divide"),
        ({"attention_head_dim": 5}, r"divide \[16, 16\]"),
        ({"attn_norm_num_groups": 2}, "norm_num_groups, 4"),
        ({"freq_shift": 4}, "divides by 4 less"),
        ({"norm_num_group": 3}, "no option 'norm_num_group'.*mean norm_num_groups"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_held_is_said(options, words):
    with pytest.raises(UserError, match=words):
        unet_from_diffusers({**SMALL, **options}, {})


def test_weights_that_do_not_fit_are_named():
    model = theirs()
    config, state = configured(model), model.state_dict()
    with pytest.raises(UserError, match="have no conv_out"):
        unet_from_diffusers(config, {k: v for k, v in state.items() if k != "conv_out.bias"})
    with pytest.raises(UserError, match=r"no place for extra \(1 such"):
        unet_from_diffusers(config, state | {"extra": torch.zeros(1)})
    with pytest.raises(UserError, match=r"conv_in.weight make a tensor of shape \(8, 2, 3, 3\)"):
        unet_from_diffusers({**config, "in_channels": 1}, state)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"style": Style(groups=4)}, "shortcut"),
        ({"multipliers": (2, 4)}, "first multiplier"),
        ({"dims": 1}, "two dimensions"),
        ({"style": Style(groups=4, shortcut=False, waves=12)}, "clock"),
        ({"style": Style(groups=4, shortcut=False, steer="add", middle="bare")}, "without a norm"),
        ({"style": Style(shortcut=False), "multipliers": (1, 8)}, "groups, each"),
        ({"head": 24, "multipliers": (1, 3), "attention": (0, 1), "width": 12}, "heads of"),
        ({"condition": Features(3, 32)}, "condition Features"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_diffusers_has_not_is_said(options, words):
    plain = {"width": 8, "multipliers": (1, 2), "style": Style(groups=4, shortcut=False)}
    with pytest.raises(UserError, match=words):
        unet_to_diffusers(UNet(2, **{**plain, **options}))


def test_a_label_of_hush_is_a_class_there():
    ours = stirred(UNet(2, 8, (1, 2), condition=Labels(3, 32), style=Style(4, shortcut=False)))
    assert unet_to_diffusers(ours)[0]["num_class_embeds"] == 4  # the last is "no class"

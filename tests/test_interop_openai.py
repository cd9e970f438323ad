"""U-Nets of improved-diffusion and guided-diffusion: the same answers in hush."""

import pytest
import torch
from openai_unet import Theirs

from hush.errors import UserError
from hush.interop.openai import unet_from_openai

SAID = ("num_heads", "num_head_channels", "use_new_attention_order")  # what weights do not say
FLAGS = {
    "improved": {},
    "improved, learn_sigma": {"use_scale_shift_norm": True, "out_channels": 4, "num_res_blocks": 2},
    "guided 64": {
        "use_scale_shift_norm": True,
        "resblock_updown": True,
        "use_new_attention_order": True,
        "num_head_channels": 32,
        "num_classes": 3,
        "channel_mult": (1, 2, 3),
        "attention_resolutions": (2, 4),
        "out_channels": 4,
    },
    "guided 256": {
        "use_scale_shift_norm": True,
        "resblock_updown": True,
        "num_head_channels": 16,
        "attention_resolutions": (1, 2),
    },
    "guided 512": {"model_channels": 64, "channel_mult": (0.5, 1, 2), "num_classes": 3},
    "no attention but across": {"attention_resolutions": (), "num_heads": 1},
    "one resolution": {"channel_mult": (1,), "attention_resolutions": (1,), "num_heads": 2},
}


def stirred(network, scale=0.1):
    """Every weight drawn anew: what starts at zero would hide what is behind it."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = scale * torch.randn(parameter.shape, generator=generator)
    return network.eval()


def said(flags):
    return {name: flags[name] for name in SAID if name in flags}


@torch.no_grad()
def apart(ours, theirs):
    """The largest difference of the two networks' answers, as a share of the largest."""
    generator = torch.Generator().manual_seed(1)
    dtype = next(theirs.parameters()).dtype
    x = torch.randn(3, 2, 8, 8, generator=generator).to(dtype)
    steps = torch.tensor([0.0, 37.0, 999.0])
    labels = None if theirs.label_emb is None else torch.tensor([2, 0, 1])
    answer = theirs(x, steps, labels)
    return float((ours(x, steps, labels) - answer).abs().max() / answer.abs().max())


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_theirs_answers_the_same_here(flags):
    theirs = stirred(Theirs(**flags))
    ours = unet_from_openai(theirs.state_dict(), **said(flags))
    assert apart(ours, theirs) < 1e-5


@pytest.mark.parametrize("flag", ["use_new_attention_order", "num_heads"])
def test_what_the_weights_do_not_say_matters(flag):
    """A wrong flag reads them all the same and answers otherwise: they must be asked for."""
    theirs = stirred(Theirs(), 0.3)
    wrong = {"use_new_attention_order": True, "num_heads": 2}[flag]
    assert apart(unet_from_openai(theirs.state_dict(), **{flag: wrong}), theirs) > 1e-3


def test_half_precision_is_read_as_single():
    theirs = stirred(Theirs()).half()
    ours = unet_from_openai(theirs.state_dict())
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float32}
    assert apart(ours, theirs.float()) < 1e-5


def test_what_does_not_fit_is_said():
    state = Theirs().state_dict()
    with pytest.raises(UserError, match="64 channels cannot have num_heads = 3"):
        unet_from_openai(state, num_heads=3)
    with pytest.raises(UserError, match="num_head_channels = 48: give the flags"):
        unet_from_openai(state, num_head_channels=48)
    with pytest.raises(UserError, match="no place for encoder"):
        unet_from_openai(state | {"encoder.weight": torch.zeros(1)})
    with pytest.raises(UserError, match=r"do not mirror.*conv_resample"):
        unet_from_openai(Theirs(conv_resample=False).state_dict())
    with pytest.raises(UserError, match="not the weights of a U-Net"):
        unet_from_openai({"conv.weight": torch.zeros(1)})

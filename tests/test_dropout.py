"""Dropout: masks that belong to the samples, whatever batch, step or process they are drawn in."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from hush.networks import Backbone, Dropout, positioned

ONES = torch.ones(6, 4, 64, 64)
TYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def masks(start=0, seed=0, x=ONES, p=0.25):
    """Of two modules in a row, apart."""
    network = nn.ModuleList((Dropout(p), Dropout(p)))
    with positioned(network, seed, start):
        return network[0](x), network[1](x)


def agreement(a, b):
    """The share of elements that two masks treat alike."""
    return ((a == 0) == (b == 0)).double().mean().item()


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_a_share_of_the_elements_is_dropped_and_the_mean_is_kept(dtype):
    out, _ = masks(x=ONES.to(dtype), p=0.25)
    assert out.dtype == dtype
    assert torch.equal(out.unique(), torch.tensor([0.0, 4.0 / 3.0], dtype=dtype))
    share = (out == 0).double().flatten(1).mean(1)
    assert (share - 0.25).abs().max() < 5 * (0.25 * 0.75 / ONES[0].numel()) ** 0.5


def test_samples_seeds_and_modules_have_masks_that_know_nothing_of_each_other():
    first, second = masks(p=0.5)
    others = [*first[1:], second[0], masks(seed=1, p=0.5)[0][0], first[0].flip(0)]
    slack = 5 * 0.5 / ONES[0].numel() ** 0.5
    for other in others:
        assert agreement(first[0], other) == pytest.approx(0.5, abs=slack)


def test_a_mask_is_a_pure_function_of_seed_position_and_module():
    whole = masks(start=100)
    assert all(map(torch.equal, whole, masks(start=100)))
    for part in (slice(0, 1), slice(1, 4), slice(4, 6)):
        for all_at_once, alone in zip(whole, masks(100 + part.start, x=ONES[part]), strict=True):
            assert torch.equal(all_at_once[part], alone)
    longer = masks(start=98, x=torch.cat((ONES, ONES)))
    assert torch.equal(longer[0][2:8], whole[0])


def test_every_forward_begins_at_the_same_position():
    module = Dropout(0.5)
    with positioned(module, 3, 7):
        assert torch.equal(module(ONES), module(ONES))


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_outside_it_is_torchs_dropout(p):
    ours, torchs = Dropout(p), nn.Dropout(p)
    with pytest.raises(KeyboardInterrupt), positioned(ours, 0, 0):
        raise KeyboardInterrupt  # nothing stays behind, however it ends
    drawn = []
    for module in (ours, torchs):
        torch.manual_seed(0)
        drawn.append(module(ONES))
    assert torch.equal(*drawn)
    with positioned(ours.eval(), 0, 0):
        assert ours(ONES) is ONES


def test_nothing_and_everything_can_be_dropped():
    assert torch.equal(masks(p=0.0)[0], ONES)
    assert not masks(p=1.0)[0].any()


def test_the_global_stream_is_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    masks()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("autocast", [False, True])
def test_gradients_pass_where_values_do_also_when_activations_are_computed_again(autocast):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(16, 16), Dropout(0.5), nn.Linear(16, 1))
    x, slopes = torch.randn(5, 16), []
    for again in (False, True):
        network.zero_grad()
        with positioned(network, 1, 2), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            y = (
                checkpoint(network, x, use_reentrant=False, preserve_rng_state=False)
                if again
                else network(x)
            )
            y.float().sum().backward()
        slopes.append(network[0].weight.grad.clone())
    assert torch.equal(*slopes)
    assert slopes[0].any()


@pytest.mark.parametrize("kind", ["unet", "dit"])
def test_every_place_where_a_network_drops_has_masks_of_its_own(kind):
    torch.manual_seed(0)
    network = Backbone(kind, width=8, multipliers=(1, 2), depth=2, head=8, dropout=0.5)
    network = network.build((1, 6, 6))
    calls = []
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(lambda module, x, y: calls.append((module, y == 0)))
    with positioned(network, 0, 0):
        network(torch.randn(2, 1, 6, 6), torch.ones(2))
    modules, zeros = zip(*calls, strict=True)
    assert len(set(modules)) == len(modules) == (2 * 2 if kind == "dit" else 2 * (2 + 3) + 2)
    for i, mask in enumerate(zeros):
        assert not any(torch.equal(mask, other) for other in zeros[:i])

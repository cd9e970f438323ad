"""Networks: the identity of shapes and conditions, silence at the start, and no talk in a batch."""

import pytest
import torch
from torch import nn

from hush.networks import Backbone, DiT, Features, Labels, UNet
from hush.networks.blocks import crop_to, pad_to, sinusoids

SIZES = {
    1: [(8,), (7,), (1,), (13,)],
    2: [(8, 8), (7, 5), (1, 1), (4, 9), (1, 6)],
    3: [(4, 4, 4), (3, 2, 5), (1, 1, 1)],
}
CASES = [(dims, size) for dims, sizes in SIZES.items() for size in sizes]


def unet(dims=2, condition=None, **options):
    settings = {"width": 8, "multipliers": (1, 2, 2), "blocks": 1, "attention": (1,), "head": 8}
    return UNet(2, dims=dims, condition=condition, **{**settings, **options}).double()


def dit(dims=2, condition=None, **options):
    settings = {"width": 16, "depth": 2, "patch": 2, "head": 8}
    return DiT(2, dims=dims, condition=condition, **{**settings, **options}).double()


BUILDERS = pytest.mark.parametrize("build", [unet, dit])


def stirred(network, scale=0.3):
    """The network with every parameter drawn anew, so that nothing in it is silent."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = scale * torch.randn(parameter.shape, generator=generator).double()
    return network.eval()


def inputs(dims=2, size=None, batch=3):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 2, *(size or (6,) * dims), generator=generator).double()
    return x, torch.tensor([3.0, 500.0, 999.0, 42.0])[:batch].double()


@BUILDERS
@pytest.mark.parametrize(("dims", "size"), CASES, ids=str)
def test_the_answer_has_the_size_of_what_was_asked_and_starts_silent(build, dims, size):
    network = build(dims)
    x, clock = inputs(dims, size)
    assert torch.equal(network(x, clock), torch.zeros_like(x))
    loud = stirred(network)(x, clock)
    assert loud.shape == x.shape
    assert loud.std() > 1e-6


@BUILDERS
@pytest.mark.parametrize(("dims", "size"), CASES, ids=str)
def test_members_of_a_batch_do_not_hear_each_other(build, dims, size):
    network = stirred(build(dims))
    x, clock = inputs(dims, size)
    whole = network(x, clock)
    for i in range(3):
        alone = network(x[i : i + 1], clock[i : i + 1])
        torch.testing.assert_close(alone, whole[i : i + 1], rtol=1e-11, atol=1e-11)


@BUILDERS
def test_the_clock_is_heard(build):
    network = stirred(build())
    x, _ = inputs()
    one, other = (network(x, torch.full((3,), t).double()) for t in (10.0, 11.0))
    assert (one - other).abs().max() > 1e-6


@BUILDERS
@pytest.mark.parametrize("kind", ["labels", "features"])
def test_none_minus_one_and_nan_are_the_same_absent_condition(build, kind):
    features = {unet: 32, dit: 64}[build]
    condition = Labels(4, features) if kind == "labels" else Features(3, features)
    network = stirred(build(condition=condition))
    x, clock = inputs()
    if kind == "labels":
        given, absent = torch.tensor([0, 3, 1]), torch.full((3,), -1)
    else:
        given, absent = torch.ones(3, 3).double(), torch.full((3, 3), torch.nan).double()
    none = network(x, clock)
    assert torch.equal(network(x, clock, absent), none)
    mixed = given.clone()
    mixed[1] = absent[1]
    answer, told = network(x, clock, mixed), network(x, clock, given)
    torch.testing.assert_close(answer[1], none[1], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(answer[[0, 2]], told[[0, 2]], rtol=1e-12, atol=1e-12)
    assert (told - none).abs().amax((1, 2, 3)).min() > 1e-6


def test_one_missing_feature_makes_the_whole_condition_absent():
    condition = stirred(Features(3, 8).double())
    partly = torch.tensor([[1.0, torch.nan, 2.0], [1.0, 0.0, 2.0]]).double()
    answer = condition(partly, 2)
    assert torch.equal(answer[0], condition(None, 2)[0])
    assert not torch.equal(answer[1], condition(None, 2)[1])


@BUILDERS
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_learning_reaches_every_parameter_from_the_silent_start(build, dims):
    """From silence the first step wakes the head, the second the branches, the third their insides:
    by then every parameter has a gradient."""
    torch.manual_seed(0)
    features = {unet: 32, dit: 64}[build]
    network = build(dims, condition=Labels(3, features))
    x, clock = inputs(dims, batch=4)
    labels, target = torch.tensor([0, 1, 2, -1]), x.flip(0)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    reached = set()
    for _ in range(4):
        optimiser.zero_grad()
        (network(x, clock, labels) - target).square().mean().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is None or parameter.grad.isfinite().all(), name
            if parameter.grad is not None and parameter.grad.abs().max() > 0:
                reached.add(name)
        optimiser.step()
    assert {name for name, _ in network.named_parameters()} - reached == set()


@BUILDERS
def test_gradients_do_not_cross_the_batch(build):
    network = stirred(build())
    x, clock = inputs()
    x.requires_grad_()
    (slope,) = torch.autograd.grad(network(x, clock)[1].square().sum(), x)
    assert slope[[0, 2]].abs().max() == 0.0
    assert slope[1].abs().min() > 0.0


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("patch", [1, 2, 3])
def test_dit_puts_patches_back_where_they_came_from(dims, patch):
    network = dit(dims, patch=patch)
    grid = torch.Size((2, 3, 4)[:dims])
    x = torch.arange(2 * 2 * (patch**dims) * grid.numel()).double()
    x = x.reshape(2, 2, *(side * patch for side in grid))
    blocks = x
    for axis in range(dims):
        blocks = blocks.unfold(2 + axis, patch, patch)
    # (batch, channel, grid…, patch…) to tokens of (channel, patch…)
    order = [0, *range(2, 2 + dims), 1, *range(2 + dims, 2 + 2 * dims)]
    tokens = blocks.permute(order).reshape(2, grid.numel(), -1)
    assert torch.equal(network._unpatch(tokens, grid), x)


def test_dits_stem_reads_the_patch_that_its_token_writes():
    """Without layers, changing one patch changes its own token alone, and the head writes there."""
    network = stirred(dit(patch=2, depth=0))
    x, clock = inputs(size=(6, 6))
    moved = x.clone()
    moved[0, :, 2:4, 4:6] += 1.0
    changed = (network(moved, clock) - network(x, clock)).abs().sum(1) > 0
    wanted = torch.zeros(3, 6, 6, dtype=torch.bool)
    wanted[0, 2:4, 4:6] = True
    assert torch.equal(changed, wanted)


def test_dit_knows_places_apart():
    """Without positions a transformer commutes with any reordering of its tokens."""
    network = stirred(dit(patch=1))
    x, clock = inputs(size=(4, 4))
    shuffled = network(x.flip(2), clock).flip(2)
    assert (shuffled - network(x, clock)).abs().max() > 1e-6


@pytest.mark.parametrize("multiple", [1, 2, 4, 8])
@pytest.mark.parametrize(("_", "size"), CASES, ids=str)
def test_cropping_undoes_padding_which_only_repeats_edges(multiple, _, size):
    x = torch.arange(2.0 * 3 * torch.Size(size).numel()).reshape(2, 3, *size)
    padded = pad_to(x, multiple)
    assert all(side % multiple == 0 for side in padded.shape[2:])
    assert torch.equal(crop_to(padded, x.shape[2:]), x)
    index = [torch.arange(side).clamp(max=old - 1) for side, old in
             zip(padded.shape[2:], size, strict=True)]  # fmt: skip
    for axis, places in enumerate(index):
        x = x.index_select(2 + axis, places)
    assert torch.equal(padded, x)


def test_sinusoids_are_vaswanis():
    clock = torch.tensor([0.0, 1.0, 37.5])
    waves = sinusoids(clock, 8)
    for i in range(4):
        frequency = 10_000.0 ** (-i / 4)
        torch.testing.assert_close(waves[:, i], (clock * frequency).cos())
        torch.testing.assert_close(waves[:, 4 + i], (clock * frequency).sin())


def test_ddpms_network_has_its_size():
    """Ho et al. 2020, appendix B: 35.7 million parameters for CIFAR-10."""
    with torch.device("meta"):
        network = Backbone(dropout=0.1).build((3, 32, 32))
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count / 1e6 == pytest.approx(35.7, rel=0.1)


@pytest.mark.parametrize("network", ["unet", "dit"])
def test_dropout_sleeps_in_evaluation(network):
    torch.manual_seed(0)
    made = Backbone(network, width=8, multipliers=(1, 2), depth=2, head=8, dropout=0.5)
    network = stirred(made.build((2, 6, 6)).double())
    x, clock = inputs()
    assert torch.equal(network(x, clock), network(x, clock))
    network.train()
    assert not torch.equal(network(x, clock), network(x, clock))
    assert any(isinstance(module, nn.Dropout) for module in network.modules())


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("kind", [UNet, DiT])
def test_a_network_can_be_the_exact_identity_through_one_layer(kind, dims):
    small = {"multipliers": (1, 2), "blocks": 1} if kind is UNet else {"depth": 1}
    for out in (2, 4):
        network = kind(2, width=8, dims=dims, out_channels=out, **small)
        torch.nn.init.ones_(network.shortcut.gain.bias)
        x = torch.randn(3, 2, *(5, 4, 3)[:dims], generator=torch.Generator().manual_seed(0))
        answer = network(x, torch.arange(3.0))
        assert torch.equal(answer[:, :2], x)
        assert not answer[:, 2:].any()

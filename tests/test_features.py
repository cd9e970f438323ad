"""Inner features: what the network computes, by name, without a trace, and the same for every
pixel whatever batch it is described in."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import hush
from hush.errors import UserError
from hush.networks import Backbone, DiT, Gradient, UNet
from hush.networks.features import at_pixels, features, places, telling
from hush.networks.fourier import Fourier, widened
from hush.networks.heads import Beside
from hush.rng import Streams
from hush.tasks.features import Look, describe
from hush.tasks.images import Upscale

SMALL = Backbone(width=8, multipliers=(1, 2, 2), blocks=1, attention=(1,), head=8, dropout=0.1)


def unet(channels=2, out=None):
    return stirred(UNet(channels, 8, (1, 2, 2), 1, (1,), 8, out_channels=out))


def dit(channels=2):
    return stirred(DiT(channels, 16, 4, patch=2, head=8))


def stirred(network):
    generator = torch.Generator().manual_seed(0)
    for weight in network.parameters():
        weight.data = 0.3 * torch.randn(weight.shape, generator=generator)
    return network.eval().requires_grad_(False)


def inputs(size=(8, 8), channels=2, batch=3):
    return Streams.of(1, batch).normal((channels, *size)), torch.tensor([3.0, 500.0, 42.0])[:batch]


def system(build=None):
    torch.manual_seed(0)
    model = (build or hush.systems.ddpm)((1, 8, 8), backbone=SMALL)
    stirred(model.denoiser.network)
    return model


def pictures(count=5, size=(8, 8)):
    return Streams.of(3, count).uniform((1, *size), torch.float32)


# ---- What a network computes.


def by_hand(network, x, clock):
    """The U-Net's forward, written out once more, keeping every block's map."""
    embedding, kept = network.embedding(clock, None), {}
    x = network.stem(x)
    seen = [x]
    for level, stage in enumerate(network.down):
        for number, block in enumerate(stage.blocks):
            seen.append(x := block(x, embedding))
            kept[f"down.{level}.{number}"] = x
        if stage.resize is not None:
            seen.append(x := stage.resized(x, embedding))
    for number, block in enumerate(network.middle):
        kept[f"middle.{number}"] = x = block(x, embedding)
    for level, stage in enumerate(network.up):
        for number, block in enumerate(stage.blocks):
            x = block(torch.cat((x, seen.pop()), 1), embedding)
            kept[f"up.{level}.{number}"] = x
        if stage.resize is not None:
            x = stage.resized(x, embedding)
    return kept


def test_every_named_map_of_a_unet_is_the_one_it_computes():
    network, (x, clock) = unet(), inputs()
    with features(network, list(places(network))) as found:
        network(x, clock)
    truth = by_hand(network, x, clock)
    assert list(found) == list(truth) == list(places(network))
    assert all(torch.equal(found[name], truth[name]) for name in truth)
    for name, place in places(network).items():
        assert found[name].shape[2:] == (8 // place.stride,) * 2


def test_a_map_of_a_dit_has_its_tokens_where_their_patches_are():
    """Behind the network's last layer there is nothing but a norm and a linear layer for each
    token: from its map they make the network's own answer."""
    network, (x, clock) = dit(), inputs((6, 10))
    with features(network, ["layer.3"]) as found:
        answer = network(x, clock)
    assert found["layer.3"].shape == (3, 16, 3, 5)
    embedding = network.embedding(clock, None)
    scale, shift = network.steer(embedding).unsqueeze(1).chunk(2, -1)
    tokens = functional.layer_norm(found["layer.3"].flatten(2).mT, (16,)) * (1 + scale) + shift
    patches = network.head(tokens).unflatten(1, (3, 5)).unflatten(-1, (2, 2, 2))
    put_together = patches.permute(0, 3, 1, 4, 2, 5).reshape(3, 2, 6, 10)
    torch.testing.assert_close(put_together + network.shortcut(x, embedding), answer)


@pytest.mark.parametrize(
    ("wrap", "channels"),
    [
        (lambda n: Fourier(n, (1,)), 1),
        (lambda n: Gradient(n), 3),
        (lambda n: Beside(n, unet(3)), 3),
    ],
    ids=["Fourier", "Gradient", "Beside"],
)
def test_a_wrapped_network_has_the_names_of_what_it_wraps(wrap, channels):
    inner = unet(widened(1, (1,)), out=channels)
    network, (x, clock) = wrap(inner).eval(), inputs(channels=channels)
    assert list(places(network)) == list(places(inner))
    given = []
    watch = inner.register_forward_pre_hook(lambda _, args: given.append(args[0].detach()))
    with features(network, ["up.1.0"]) as found:
        network(x, clock)
    watch.remove()
    assert torch.equal(found["up.1.0"].detach(), by_hand(inner, given[0], clock)["up.1.0"])


@pytest.mark.parametrize("build", [unet, dit])
def test_looking_leaves_no_trace(build):
    network, (x, clock) = build(), inputs()
    before = network(x, clock)
    with features(network, list(places(network))):
        assert torch.equal(network(x, clock), before)
    with pytest.raises(RuntimeError, match="broken"), features(network, list(places(network))):
        raise RuntimeError("broken")
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())
    assert torch.equal(network(x, clock), before)


def test_the_most_telling_maps_are_the_end_of_each_stage_up_and_the_inner_layers():
    assert telling(unet()) == ("up.0.1", "up.1.1", "up.2.1")
    assert telling(dit()) == ("layer.1", "layer.2", "layer.3")


@pytest.mark.parametrize("size", [(8,), (7, 5), (3, 6, 4)], ids=str)
def test_a_map_spread_over_the_pixels_keeps_a_plane_a_plane(size):
    """Linear interpolation keeps what is linear, away from the edges, and every constant."""
    stride = 2
    coarse = [torch.arange(-(-side // stride), dtype=torch.float64) for side in size]
    centres = [stride * axis + 0.5 * (stride - 1) for axis in coarse]
    plane = sum(torch.meshgrid(*centres, indexing="ij"))[None, None]
    fine = sum(torch.meshgrid(*(torch.arange(side).double() for side in size), indexing="ij"))
    spread = at_pixels(plane, stride, torch.Size(size))
    assert spread.shape == (1, 1, *size)
    inside = tuple(slice(1, -1) for _ in size)
    torch.testing.assert_close(spread[0, 0][inside], fine[inside])
    same = at_pixels(torch.full_like(plane, 3.0), stride, torch.Size(size))
    assert torch.equal(same, torch.full_like(same, 3.0))


def test_what_has_no_inner_blocks_or_no_such_one_is_told():
    with pytest.raises(UserError, match=r"Linear has no inner blocks.*U-Net or a DiT"):
        places(nn.Linear(2, 2))
    with (
        pytest.raises(UserError, match=r"'up.1.7': did you mean up.1.[01]"),
        features(unet(), ["up.1.7"]),
    ):
        pass


# ---- Pictures described.


def test_a_description_is_the_maps_at_every_time_of_the_picture_in_one_noise():
    model, look = system(), Look((0.1, 0.4), ("middle.0", "up.2.1"), seed=5)
    images = pictures(1)
    described = describe(model, images, look)
    network, process = model.denoiser.network, model.denoiser.process
    noise, parts = None, []
    for t in look.times:
        level = process.schedule.level(t)
        x_0 = model.codec.encode(images)
        with features(network, look.names) as found:
            x_t = _seen(model, lambda t=t: describe(model, images, Look((t,), look.names, 5)))
        drawn = (x_t - level.alpha * x_0) / level.sigma
        if noise is not None:
            torch.testing.assert_close(drawn, noise, atol=1e-4, rtol=1e-4)
        noise = drawn
        parts += [at_pixels(found["middle.0"], 4, images.shape[2:]), found["up.2.1"]]
    assert torch.equal(described, torch.cat(parts, 1))
    assert described.shape == (1, 2 * (16 + 8), 8, 8)


def _seen(model, work):
    """What the denoiser is shown while `work` is done."""
    given = []
    watch = model.denoiser.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    work()
    watch.remove()
    return given[0]


@pytest.mark.parametrize("name", ["ddpm", "edm", "energy", "vdm", "d3pm", "rectified_flow"])
def test_any_batch_gives_the_same_features_and_equal_pictures_equal_ones(name):
    model, images = system(getattr(hush.systems, name)), pictures(5)
    images[4] = images[1]
    whole = describe(model, images)
    assert whole.shape == (5, 3 * (16 + 16 + 8), 8, 8)
    assert not whole.requires_grad

    def far(one, other):
        return ((one - other).abs().max() / whole.std()).item()

    assert far(describe(model, images, batch=2), whole) < 1e-3  # float32, many layers
    assert far(whole[4], whole[1]) < 1e-3
    assert far(whole[0], whole[1]) > 0.1
    assert far(describe(model, images, Look(seed=1)), whole) > 0.1


def test_pictures_of_any_size_are_described_pixel_by_pixel():
    assert describe(system(), pictures(2, (7, 13))).shape == (2, 120, 7, 13)


def test_what_cannot_be_described_is_told():
    model = system()
    with pytest.raises(UserError, match=r"pictures have shape \(2, 3, 8, 8\).*1 channels"):
        describe(model, torch.zeros(2, 3, 8, 8))
    with pytest.raises(UserError, match=r"times must be .* in \[0, 1\], got \(1.5,\)"):
        Look((1.5,))
    with pytest.raises(UserError, match="no inner block 'sideways'"):
        describe(model, pictures(), Look(names=("sideways",)))
    asking = hush.systems.ddpm((1, 8, 8), backbone=SMALL)
    asking = hush.System(**{**vars(asking), "task": Upscale((1, 8, 8))})
    with pytest.raises(UserError, match="must be given something"):
        describe(asking, pictures())

"""What is computed again, or in half precision, is what would have been computed."""

from contextlib import nullcontext

import pytest
import torch

from hush import systems, train
from hush.data import digits
from hush.networks import Backbone, blocks, positioned, recomputed

TINY = {
    "unet": Backbone(width=8, multipliers=(1, 2), blocks=1, attention=(1,), dropout=0.3),
    "dit": Backbone(network="dit", width=16, depth=2, dropout=0.3),
}


def awake(network):
    """The network with no weight at zero, where gradients would not tell."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return network


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bf16"])
@pytest.mark.parametrize("name", TINY)
def test_blocks_that_are_computed_again_give_the_same_gradients(name, half):
    network = awake(TINY[name].build((3, 8, 8))).train()
    x, clock = torch.randn(4, 3, 8, 8), torch.rand(4)
    calls, found = [], []
    hooks = [block.register_forward_hook(lambda *_: calls.append(1)) for block in blocks(network)]
    for wanted in (False, True):
        network.zero_grad()
        lower = torch.autocast("cpu", torch.bfloat16) if half else nullcontext()
        with recomputed(network, wanted), positioned(network, 1, 0):
            with lower:
                loss = network(x, clock).float().square().mean()
            loss.backward()
        found.append([weight.grad.clone() for weight in network.parameters()])
    assert len(calls) == 2 * len(hooks)  # what is computed again calls no hook
    for kept, again in zip(*found, strict=True):
        assert torch.equal(kept, again)
    assert all("forward" not in vars(block) for block in blocks(network))


def test_blocks_that_are_computed_again_keep_little():
    network = awake(TINY["unet"].build((3, 8, 8))).train()
    kept = []
    for wanted in (False, True):
        sizes = []

        def keep(tensor, sizes=sizes):
            sizes.append(tensor.numel())
            return tensor

        packing = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
        with recomputed(network, wanted), positioned(network, 1, 0), packing:
            network(torch.randn(4, 3, 8, 8), torch.rand(4))
        kept.append(sum(sizes))
    assert kept[1] < 0.4 * kept[0]


def test_a_run_that_computes_again_ends_with_the_same_bits(tmp_path):
    ends = []
    for recompute in (False, True):
        torch.manual_seed(0)
        model = systems.ddpm((1, 8, 8), backbone=TINY["unet"])
        out = tmp_path / str(recompute)
        train(model, digits(), out, steps=3, batch=8, recompute=recompute, show=False)
        ends.append((out / "metrics.jsonl").read_text())
    assert ends[0] == ends[1]


def test_only_the_network_draws_in_half_precision():
    system = systems.ddpm((1, 8, 8), backbone=TINY["unet"])
    awake(system.denoiser.network)
    inside = set()
    hook = system.denoiser.network.stem.register_forward_hook(
        lambda _, __, output: inside.add(output.dtype)
    )
    walked = [
        list(system.walk(4, grid=5, seed=3, precision=precision)) for precision in ("no", "bf16")
    ]
    hook.remove()
    assert inside == {torch.float32, torch.bfloat16}
    assert all(state.x.dtype == torch.float32 for state in walked[1])
    first, near = walked[0][-1].x, walked[1][-1].x
    assert not torch.equal(first, near)
    torch.testing.assert_close(first, near, atol=0.1, rtol=0.0)

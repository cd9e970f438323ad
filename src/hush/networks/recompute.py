"""The blocks of a network, and a network that keeps no more of them than it must."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


def blocks(network: nn.Module) -> list[nn.Module]:
    """What of a network is computed one after another: the items of its innermost lists."""
    lists = [part for part in network.modules() if isinstance(part, nn.ModuleList)]
    items = [item for part in lists for item in part]
    inner = [item for item in items if not _holds_list(item)]
    return [item for item in inner if any(True for _ in item.parameters())]


def _holds_list(module: nn.Module) -> bool:
    return any(isinstance(part, nn.ModuleList) for part in module.modules())


@contextmanager
def changed(network: nn.Module, change: Callable[[Callable], Callable]) -> Iterator[None]:
    """Within it the forward of every block is what `change` makes of it. Such contexts nest."""
    before = [(block, vars(block).get("forward")) for block in blocks(network)]
    for block, _ in before:
        block.forward = change(block.forward)
    try:
        yield
    finally:
        for block, own in before:
            del block.forward  # the class's own is seen again
            if own is not None:
                block.forward = own


@contextmanager
def recomputed(network: nn.Module, wanted: bool) -> Iterator[None]:
    """Within it, where `wanted`, every block keeps only what it was given, and is computed again
    on the way back: the same gradients from far less memory, for one more forward pass.

    Chen, Xu, Zhang, Guestrin 2016, "Training deep nets with sublinear memory cost".
    """
    if not wanted:
        yield
        return
    # Masks are functions of the samples' positions: there is no state of a generator to keep.
    again = partial(partial, checkpoint, use_reentrant=False, preserve_rng_state=False)
    with changed(network, again):
        yield

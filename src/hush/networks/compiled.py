"""A network whose blocks are compiled, each for the shapes it meets, and kept on disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn

from hush.networks.recompute import changed

FORMS = 4096  # in which one function may be compiled; beyond that it would silently not be


@contextmanager
def compiled(network: nn.Module, wanted: bool, folder: str) -> Iterator[None]:
    """Within it, where `wanted`, every block is what `torch.compile` makes of it, blocks of one
    shape together. Compiled code is kept in `folder` (or $TORCHINDUCTOR_CACHE_DIR, if that is set)
    and found there the next time.

    Sums are taken in another order than uncompiled, so answers and gradients are the same to
    rounding only; the same code gives the same bits. Weights, names and copies of the network are
    as ever; a copy that is made before is not compiled. What is compiled cannot be differentiated
    twice.

    Ansel et al. 2024, "PyTorch 2: faster machine learning through dynamic Python bytecode
    transformation and graph compilation".
    """
    if not wanted:
        yield
        return
    from torch import _dynamo, _inductor  # only here: seconds

    with (
        _kept(folder),
        # Every shape of a block, in all the runs of this process.
        _dynamo.config.patch(recompile_limit=FORMS, accumulated_recompile_limit=FORMS),
        # A block is small enough: it need not be cut where processes share gradients.
        _dynamo.config.patch(optimize_ddp=False),
        # No kernel may be chosen by the clock: a run that is resumed must choose the same.
        _inductor.config.patch(deterministic=True),
        changed(network, partial(torch.compile, dynamic=False)),
    ):
        yield


@contextmanager
def _kept(folder: str) -> Iterator[None]:
    """Within it torch keeps what it compiles in `folder`, unless it was told where."""
    name = "TORCHINDUCTOR_CACHE_DIR"
    if name in os.environ:
        yield
        return
    os.environ[name] = folder
    try:
        yield
    finally:
        os.environ.pop(name, None)

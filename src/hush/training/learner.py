"""A system as one module whose forward is its losses, on one process or spread over many."""

import warnings
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hush.networks import blocks
from hush.objectives.base import Loss
from hush.rng import Streams
from hush.system import System
from hush.training.stored import cut
from hush.world import World

SMALL = 4096  # elements of a weight that is not worth cutting


class Learner(nn.Module):
    """A record batch and its streams to its losses: all that is trained is inside, so that what
    spreads a module over processes sees all of it."""

    def __init__(self, system: System, denoiser: nn.Module, codec: nn.Module) -> None:
        super().__init__()
        self.denoiser, self.codec = denoiser, codec
        self._learnt, self._objective = system.learnt, system.objective

    def forward(self, record: dict[str, Tensor], rng: Streams) -> Loss:
        x_0, cond, mask = self._learnt(record, rng.branch("task"))
        return self._objective(self.denoiser, x_0, rng, cond, mask)


def spread(module: nn.Module, world: World, shard: bool) -> nn.Module:
    """The module on all processes of the world: whole on each, gradients averaged (DDP), or with
    `shard` each keeping a share of the rows of every weight that is not small (FSDP2), put together
    block by block as it computes; of the small ones `average` must share the gradients. Sharding
    changes the module itself."""
    if world.size == 1:
        return module
    if not shard:
        with warnings.catch_warnings():  # newer torch has another word for it
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(
                module, broadcast_buffers=False, gradient_as_bucket_view=True
            )
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard  # only here: half a second

    mesh = init_device_mesh(world.device.type, (world.size,))
    small = {weight for weight in module.parameters() if weight.numel() < SMALL}
    if isinstance(module, Learner):
        small.update(module.codec.parameters())  # they learn no more
    for block in blocks(module):
        fully_shard(block, mesh=mesh, ignored_params=small)
    return fully_shard(module, mesh=mesh, ignored_params=small)


def average(learner: nn.Module, world: World) -> None:
    """Share the gradients of the weights that every process of a sharded module keeps whole."""
    whole = [p for p in learner.parameters() if p.grad is not None and not cut(p)]
    flat = torch.cat([p.grad.flatten() for p in whole])
    parts = (world.summed(flat) / world.size).split([p.numel() for p in whole])
    for weight, part in zip(whole, parts, strict=True):
        weight.grad.copy_(part.view_as(weight))


def joining(learner: nn.Module, last: bool) -> AbstractContextManager[None]:
    """A context for one part of a batch: whole copies share gradients at the `last` one only. Cut
    ones share at each, for until then they keep their gradients whole."""
    if isinstance(learner, DistributedDataParallel) and not last:
        return learner.no_sync()
    return nullcontext()

"""Places of an event drawn at random: which tokens are hidden, which are shown next."""

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from hush.errors import UserError
from hush.processes.base import Process
from hush.processes.kernels import Absorbing
from hush.rng import Streams

Places = Bool[Tensor, "batch *event"]


def drawn(among: Places, count: Int64[Tensor, " batch"], rng: Streams) -> Places:
    """`count` places of each sample among those that are true, every choice as likely (one draw);
    all of them where there are fewer."""
    chance = rng.uniform(tuple(among.shape[1:]))
    rank = torch.where(among, chance, 2.0).flatten(1).argsort(1).argsort(1)
    return (rank < count[:, None]).reshape(among.shape) & among


def mask_of(process: Process) -> int:
    """The state that says a token is hidden.

    Raises:
        UserError: the process has another kernel than `Absorbing`.
    """
    kernel = getattr(process, "kernel", None)
    if not isinstance(kernel, Absorbing):
        raise UserError(
            f"Orders are of tokens that are hidden and shown, got the kernel {kernel}: make the "
            "process with kernels.Absorbing()."
        )
    return kernel.tokens

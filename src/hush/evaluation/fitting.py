"""The one loop that teaches a small network on the spot."""

from collections.abc import Callable

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from hush.data.batches import indices_at
from hush.networks.dropout import positioned
from hush.rng import derive


def fit(
    network: nn.Module,
    loss: Callable[[Int64[Tensor, " batch"]], Tensor],
    count: int,
    seed: int,
    steps: int,
    batch: int,
    learning_rate: float,
) -> None:
    """Lower `loss`, of the indices of some of `count` records, by `steps` batches of AdamW under a
    one-cycle learning rate; then freeze the network. A function of its weights and the seed."""
    device = next(network.parameters()).device
    optimiser = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=0.01)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps)
    order, masks = derive(seed, "fitting batches"), derive(seed, "fitting dropout")
    # Whoever calls from within no_grad (a sampler does) still gets a network that has learnt.
    with torch.enable_grad():
        for start in range(0, steps * batch, batch):
            chosen, _ = indices_at(start, start + batch, count, order)
            optimiser.zero_grad()
            with positioned(network, masks, start):
                loss(torch.tensor(chosen, device=device)).backward()
            optimiser.step()
            cycle.step()
    network.eval().requires_grad_(False)

"""AdamW, its learning rate over time, and its state as plain tensors."""

import math

import torch
from torch import Tensor, nn

from hush.system import Recipe


def optimiser(module: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Fused AdamW over the weights that are trained."""
    trained = [p for p in module.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )


def learning_rate(step: int, recipe: Recipe) -> float:
    """The rate of step `step` (from 0): a linear warm-up, then constant or a half cosine to 0."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    if recipe.decay == "constant":
        return recipe.learning_rate
    part = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(1.0, part)))


def packed(adam: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as named tensors: "<parameter number>.<quantity>"."""
    return {
        f"{number}.{name}": value.contiguous()
        for number, quantities in adam.state_dict()["state"].items()
        for name, value in quantities.items()
    }


def unpack(adam: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give an optimiser the state that `packed` made."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".")
        state.setdefault(int(number), {})[name] = value
    adam.load_state_dict({"state": state, "param_groups": adam.state_dict()["param_groups"]})

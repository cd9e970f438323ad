"""AdamW, its learning rate over time, and its state as plain tensors."""

import math

import torch
from torch import Tensor, nn

from hush.system import Recipe
from hush.training.stored import Stored, cut

QUANTITIES = ("step", "exp_avg", "exp_avg_sq")  # what AdamW remembers of a weight


def optimiser(module: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Fused AdamW over the weights that are trained; those cut over processes are a group of their
    own, for one kernel does not take both."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [[p for p in trained if cut(p) is kind] for kind in (True, False)]
    return torch.optim.AdamW(
        [{"params": group} for group in groups if group],
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def learning_rate(step: int, recipe: Recipe) -> float:
    """The rate of step `step` (from 0): a linear warm-up, then constant or a half cosine to 0."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    if recipe.decay == "constant":
        return recipe.learning_rate
    part = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(1.0, part)))


def gradient_norm(adam: torch.optim.Optimizer) -> Tensor:
    """The norm of all gradients, those of other processes' rows among them."""
    norms = []
    for group in adam.param_groups:
        gradients = [p.grad for p in group["params"] if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
        norms.append(norm.full_tensor() if cut(norm) else norm)
    return torch.linalg.vector_norm(torch.stack(norms))


def take_step(adam: torch.optim.Optimizer, rate: float, divisor: Tensor, skip: Tensor) -> None:
    """One step of `adam` with the gradients divided by `divisor`, or none where `skip` is 1, in one
    pass over the weights and without asking the device: these two attributes are how torch's own
    gradient scaler tells a fused optimiser."""
    adam.grad_scale, adam.found_inf = divisor, skip
    for group in adam.param_groups:
        group["lr"] = rate
    adam.step()
    adam.zero_grad()


def packed(adam: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """The optimiser's state as named tensors: "<parameter>/<quantity>"."""
    return {
        f"{name}/{quantity}": value
        for name, weight in module.named_parameters()
        for quantity, value in adam.state.get(weight, {}).items()
    }


@torch.no_grad()
def unpack(adam: torch.optim.Optimizer, module: nn.Module, found: Stored) -> None:
    """Give an optimiser the state that `packed` made. Raises `UserError` where it is another's."""
    weights = dict(module.named_parameters())
    adam.state.clear()
    for key in found.names:
        name, _, quantity = key.partition("/")
        if name not in weights or quantity not in QUANTITIES:
            raise found.unfit(f"it has also {key}")
        weight = weights[name]
        target = (
            torch.zeros_like(weight) if found.shape(key) else torch.zeros((), device=weight.device)
        )
        found.fill(key, target)
        adam.state[weight][quantity] = target
    if any(len(state) < len(QUANTITIES) for state in adam.state.values()):
        raise found.unfit("it lacks a part of what AdamW remembers")

"""How a suite complains: one plain sentence, with the numbers."""

from typing import Any

import torch
from torch import Tensor


def require(holds: bool | Tensor, sentence: str) -> None:
    """Raise AssertionError(sentence) unless it holds; not an `assert`, so that `python -O` and test
    rewriting change nothing."""
    if not bool(holds):
        raise AssertionError(sentence)


def agree(got: Any, wanted: Any, tolerance: float, what: str) -> None:
    """Require |got - wanted| ≤ tolerance·max(1, |wanted|) in every element (an infinity or a NaN
    agrees with nothing but the same infinity)."""
    got, wanted = torch.broadcast_tensors(
        torch.as_tensor(got, dtype=torch.float64), torch.as_tensor(wanted, dtype=torch.float64)
    )
    error = (got - wanted).abs() / wanted.abs().clamp(min=1.0)
    error = torch.where(got == wanted, 0.0, error.nan_to_num(torch.inf, torch.inf))
    if error.numel() and (worst := error.max()) > tolerance:
        place = int(error.argmax())
        raise AssertionError(
            f"{what}: got {got.flatten()[place].item():.15g}, "
            f"expected {wanted.flatten()[place].item():.15g} "
            f"(off by {worst.item():.3g}, allowed {tolerance:g})."
        )

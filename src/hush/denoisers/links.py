"""Noise that channels share, whichever of them are known first."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from hush.networks.sides import Steps

Value = Float[Tensor, "batch channel"]


class Link(NamedTuple):
    """The noise of one step as √R ε, channel after channel in an `order` of each sample's own."""

    order: Int64[Tensor, "batch channel"]
    root: Float[Tensor, "batch channel channel"]
    """L, lower triangular, L Lᵀ = R in that order."""
    inverse: Int64[Tensor, "batch channel"]

    @property
    def scale(self) -> Value:
        """What of each channel's deviation those before it leave: L's diagonal."""
        return self.root.diagonal(dim1=1, dim2=2).gather(1, self.inverse)

    def offset(self, own: Value, share: Value) -> Value:
        """o_c = Σ_{d<c} L_cd ε_d/L_cc where ε_c = own_c - share_c o_c: how far, in units of what
        they leave, those before a channel move it."""
        own, share = own.gather(1, self.order), share.gather(1, self.order)
        scale = self.root.diagonal(dim1=1, dim2=2).unsqueeze(2)
        moved = self.root.tril(-1) / scale
        solved = torch.linalg.solve_triangular(
            share.unsqueeze(2) * moved, own.unsqueeze(2), upper=False, unitriangular=True
        )
        return (moved @ solved).squeeze(2).gather(1, self.inverse)


class Links(nn.Module):
    """The correlations R of the channels' noise, of their first values and of all steps after, both
    learnt and nothing at the beginning.

    At each step channels that are known sooner go first: so one that is not known follows what
    those that are have made of the noise they share. R has one density in any order.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(2, channels, channels))

    def forward(self, steps: Steps) -> Iterator[Link | None]:
        """A link for each step; None where there is but one channel."""
        if self.weights.shape[-1] == 1:
            return iter([None] * len(steps.length))
        nearest = torch.where(steps.met, -1.0, 0.0)
        if steps.later.gap.shape[1]:
            gap, there = steps.later.gap[:, 0], steps.later.there[:, 0]
            nearest = torch.where(steps.met, -1.0, torch.where(there, gap, torch.inf))
        order = nearest.argsort(dim=-1, stable=True)
        which = (torch.arange(len(order), device=order.device) > 0).long()
        rows = which[:, None, None, None], order.unsqueeze(3), order.unsqueeze(2)
        roots = torch.linalg.cholesky(self.correlations()[rows])
        return map(Link, order, roots, order.argsort(-1))

    def correlations(self) -> Float[Tensor, "2 channel channel"]:
        """R of the first values, and of the steps."""
        weights = self.weights.tril(-1)
        root = weights + torch.eye(weights.shape[-1]).to(weights)
        root = root / root.norm(dim=-1, keepdim=True)
        return root @ root.mT

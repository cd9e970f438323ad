"""Networks as gradients: a field that is the slope of a scalar."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from hush.tensors import Condition

Field = Float[Tensor, " batch *event"]
Clock = Float[Tensor, " batch"]
Scalar = Float[Tensor, " batch"]


class Gradient(nn.Module):
    """∇g of the potential g(y) = ⟨y, F(y)⟩ - ½‖F(y)‖², for a `network` F(y, clock, cond) that keeps
    the shape of y. Where F = 0 the field is 0.

    Since g = ½‖y‖² - ½‖y - F(y)‖², it is what an autoencoder y → F(y) does not give back, less the
    size of y: Salimans and Ho 2021, "Should EBMs model the energy or the score?". The gradient is
    taken by automatic differentiation, also where the caller wants none.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def potential(self, y: Field, clock: Clock, cond: Condition | None = None) -> Scalar:
        """g(y), per sample."""
        answer = self.network(y, clock, cond)
        return (answer * (y - 0.5 * answer)).flatten(1).sum(1)

    def forward(self, y: Field, clock: Clock, cond: Condition | None = None) -> Field:
        learning = torch.is_grad_enabled()
        # Of the kernels of attention only the plain one can be differentiated twice.
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            y = y if y.requires_grad else y.detach().requires_grad_()
            total = self.potential(y, clock, cond).sum()
            return torch.autograd.grad(total, y, create_graph=learning)[0]

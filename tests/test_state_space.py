"""State spaces: the convolution is the recurrence, and begins as HiPPO-LegS."""

import math

import pytest
import torch

from hush.networks.state_space import StateSpace, StateSpaceLayer, legs
from hush.rng import Streams

CHANNELS, LENGTH = 5, 50


def made(states=16, both=True, dtype=torch.float64):
    torch.manual_seed(0)
    return StateSpace(CHANNELS, states, both).to(dtype)


def given(dtype, length=LENGTH):
    return Streams.of(1, 3).normal((CHANNELS, length), dtype)


def simulated(layer, u, direction=0):
    """The recurrence x_k = Ā x_{k-1} + B̄ u_k, y_k = Re C x_k, step by step."""
    log_a, enters, read = layer.discrete()
    x, y = torch.zeros_like(enters).expand(len(u), -1, -1), []
    for k in range(u.shape[2]):
        x = log_a.exp() * x + enters * u[:, :, k, None]
        y.append((read[direction] * x).sum(-1).real)
    return torch.stack(y, -1)


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("states", [2, 16, 64])
def test_the_convolution_is_the_recurrence(dtype, close, states):
    layer, u = made(states, both=False, dtype=dtype), given(dtype)
    expected = simulated(layer, u) + layer.skip.unsqueeze(1) * u
    torch.testing.assert_close(layer(u), expected, rtol=0, atol=close * expected.abs().max().item())


def test_the_second_direction_reads_from_the_end_and_not_what_the_first_has_read():
    layer, u = made(), given(torch.float64)
    ahead, behind = simulated(layer, u), simulated(layer, u.flip(-1), 1).flip(-1)
    expected = ahead + layer.skip.unsqueeze(1) * u
    expected[..., :-1] += behind[..., 1:]
    torch.testing.assert_close(layer(u), expected, rtol=0, atol=1e-10)


def test_alone_the_first_direction_never_reads_ahead():
    layer, u = made(both=False), given(torch.float64)
    changed = u.clone()
    changed[..., 30:] += 1.0
    y, after = layer(u), layer(changed)
    torch.testing.assert_close(y[..., :30], after[..., :30], rtol=0, atol=1e-12)
    assert ((y - after)[..., 30:].abs() > 1e-6).all()


def test_it_begins_with_the_eigenvalues_of_the_normal_part_of_hippo_legs():
    """A + P Pᵀ written out entry by entry; its eigenvalues are -½ ± iω."""
    states = 12
    matrix = torch.zeros(states, states, dtype=torch.float64)
    for n in range(states):
        for k in range(states):
            if n >= k:
                matrix[n, k] = -(n + 1.0) if n == k else -math.sqrt((2 * n + 1) * (2 * k + 1))
            matrix[n, k] += math.sqrt((n + 0.5) * (k + 0.5))
    found = torch.linalg.eigvals(matrix)
    torch.testing.assert_close(found.real, torch.full_like(found.real, -0.5), rtol=0, atol=1e-9)
    above = found.imag[found.imag > 0].sort().values
    torch.testing.assert_close(above, legs(states), rtol=1e-9, atol=0)


def test_the_hold_of_order_zero_is_exact_for_inputs_that_are_held():
    """x' = A x + u with u = 1 from 0 on is (exp(A t) - 1)/A."""
    layer = made(both=False)
    log_a, _, read = layer.discrete()
    rate = log_a / layer.log_step.exp().unsqueeze(1)
    moments = layer.log_step.exp()[:, None, None] * torch.arange(1, LENGTH + 1)
    state = torch.expm1(rate.unsqueeze(-1) * moments) / rate.unsqueeze(-1)
    expected = (read[0].unsqueeze(-1) * state).sum(1).real + layer.skip.unsqueeze(1)
    held = torch.ones(1, CHANNELS, LENGTH, dtype=torch.float64)
    torch.testing.assert_close(layer(held)[0], expected, rtol=1e-9, atol=1e-9)


def test_each_sample_is_a_sequence_of_its_own():
    torch.manual_seed(0)
    layer, u = StateSpaceLayer(CHANNELS, 8).double(), given(torch.float64)
    torch.testing.assert_close(layer(u[:1]), layer(u)[:1], rtol=0, atol=1e-12)

"""The fast forms of a network's operations are the operations, to rounding."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from hush.networks.layers import (
    NEAR,
    GroupNorm,
    attend,
    convolution,
    projected,
    resampled,
    twice,
)

SIDES = {1: (7,), 2: (5, 4), 3: (3, 4, 2)}


def drawn(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def gradients(value, *of):
    return torch.autograd.grad((value * drawn(*value.shape)).sum(), of)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_convolution_of_what_is_repeated_needs_no_repetition(dims):
    conv = convolution(dims, 3, 5).double()
    nn.init.normal_(conv.bias)
    x = drawn(2, 3, *SIDES[dims]).requires_grad_()
    of = (x, conv.weight, conv.bias)
    slow, fast = conv(resampled(x, 2.0)), twice(conv, x)
    torch.testing.assert_close(fast, slow)
    for ours, theirs in zip(gradients(fast, *of), gradients(slow, *of), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_convolution_of_one_place_is_a_product_for_every_sample(dims):
    conv = convolution(dims, 3, 5, kernel=1).double()
    nn.init.normal_(conv.bias)
    x = drawn(2, 3, *SIDES[dims]).requires_grad_()
    of = (x, conv.weight, conv.bias)
    slow, fast = conv(x), projected(conv, x)
    torch.testing.assert_close(fast, slow)
    for ours, theirs in zip(gradients(fast, *of), gradients(slow, *of), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_that_product_does_not_depend_on_who_else_is_there(dtype):
    conv, x = convolution(2, 96, 32, kernel=1).to(dtype), drawn(4, 96, 8, 8).to(dtype)
    assert torch.equal(projected(conv, x)[3:], projected(conv, x[3:]))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_steered_norm_is_the_norm_and_then_the_steer(dims):
    norm, x = GroupNorm(2, 6, eps=1e-6).double(), drawn(3, 6, *SIDES[dims]).requires_grad_()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    scale, shift = (part.requires_grad_() for part in drawn(2, 3, 6).unbind())
    of = (x, norm.weight, norm.bias, scale, shift)
    each = (3, 6, *(1,) * dims)
    slow = norm(x) * (1.0 + scale.view(each)) + shift.view(each)
    fast = norm(x, scale, shift)
    torch.testing.assert_close(fast, slow)
    for ours, theirs in zip(gradients(fast, *of), gradients(slow, *of), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_steered_norm_does_not_depend_on_who_else_is_there():
    norm, x, scale, shift = GroupNorm(2, 6), drawn(4, 6, 5, 5), drawn(4, 6), drawn(4, 6)
    x, scale, shift = x.float(), scale.float(), shift.float()
    assert torch.equal(norm(x, scale, shift)[2:], norm(x[2:], scale[2:], shift[2:]))


@pytest.mark.parametrize("places", [9, 8 * NEAR], ids=["near", "far"])
def test_attention_is_its_formula(places):
    query, key, value = drawn(3, 2, 2, 4, places).requires_grad_().unbind()
    of = (query, key, value)
    pairs = torch.einsum("bhfp,bhfq->bhpq", query, key) / 4**0.5
    slow = torch.einsum("bhpq,bhfq->bhfp", functional.softmax(pairs, -1), value)
    fast = attend(query, key, value)
    torch.testing.assert_close(fast, slow)
    for ours, theirs in zip(gradients(fast, *of), gradients(slow, *of), strict=True):
        torch.testing.assert_close(ours, theirs)

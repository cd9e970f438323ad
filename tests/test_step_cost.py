"""What a step costs outside the network: no waiting for the device, few passes over memory.

The device here is torch's "meta", which has shapes and no values: reading one raises.
"""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from hush import testing
from hush.denoisers import GaussianDenoiser, parameterisations
from hush.guidance import ClassifierFree
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import (
    Adaptive,
    Ancestral,
    Churn,
    Heun,
    Multistep,
    OrderAgnostic,
    RungeKutta,
    Sampler,
    bases,
    walk,
)
from hush.samplers.adaptive_sde import AdaptiveSDE
from hush.samplers.grids import LogSNR
from hush.schedules import Tabulated, VariancePreserving
from hush.tensors import times, total

SHAPE = (4, 3, 5)
# These choose their steps by the error of each sample, which has to be read.
READERS = (Adaptive, AdaptiveSDE)
WALKING = [
    *(s for s in testing.every(Sampler) if not isinstance(s, (*READERS, OrderAgnostic))),
    Multistep(1),
    Multistep(3, bases.Data(), corrector=4, along="log_snr"),
    Multistep(2, bases.Data(1.0), along="log_snr"),
    RungeKutta(2, bases.Data(1.0), along="log_snr"),
    Churn(Multistep(3)),
]


class Silent(nn.Module):
    """A network without arithmetic, and what it was told of the time."""

    def __init__(self, watch=None):
        super().__init__()
        self.watch, self.clocks = watch, []

    def forward(self, x, t, cond=None):
        self.clocks.append(t)
        if self.watch:
            self.watch.asked += 1
        return x.detach() if x.is_meta else x


class Watch(TorchDispatchMode):
    """Counts what writes a whole state, and notes copies from the host to the device."""

    def __init__(self):
        super().__init__()
        self.passes, self.copies, self.asked = 0, [], 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            given = [arg for arg in args if isinstance(arg, torch.Tensor)]
            copied = out.is_meta and any(not arg.is_meta and arg.ndim > 0 for arg in given)
            moved = (
                out.is_meta
                and "copy" in function.__name__
                and any(not arg.is_meta for arg in given)
            )
            if copied or moved:
                self.copies.append(function.__name__)
            whole = out.shape == SHAPE and out.is_floating_point()
            self.passes += whole and "detach" not in function.__name__
        return out


def walked(sampler, device="meta", schedule=None, guidance=None, steps=8, parameterisation=None):
    """The watch over a walk, and its network."""
    schedule, watch = schedule or VariancePreserving(), Watch()
    network = Silent(watch)
    denoiser = GaussianDenoiser(GaussianProcess(schedule), network, parameterisation)
    cond = None
    if guidance:
        denoiser, cond = guidance(denoiser), torch.zeros(SHAPE[0], 2, device=device)
    x, levels = torch.zeros(SHAPE, device=device), LogSNR(steps)(schedule)
    rng = Streams.of(0, SHAPE[0], device=device)
    states = walk(sampler, denoiser, x, levels, rng, cond)
    with torch.no_grad(), watch:
        for _ in states:
            pass
    return watch, network


@pytest.mark.parametrize("schedule", [VariancePreserving(), Tabulated.linear()], ids=repr)
@pytest.mark.parametrize("sampler", WALKING, ids=repr)
def test_a_walk_never_waits_for_the_device_nor_copies_to_it(sampler, schedule):
    watch, network = walked(sampler, schedule=schedule)
    assert watch.copies == []
    assert len(network.clocks) >= 8


def test_neither_does_a_guided_walk():
    assert walked(Heun(), guidance=ClassifierFree(3.0))[0].copies == []


@pytest.mark.parametrize("reader", [reader() for reader in READERS], ids=repr)
def test_the_device_of_these_laws_is_one_that_cannot_be_read(reader):
    with pytest.raises((RuntimeError, NotImplementedError)):
        walked(reader)


def test_the_watch_sees_a_copy_to_the_device():
    with Watch() as watch:
        torch.zeros(SHAPE[0], device="meta") + torch.ones(()).to("meta")
    assert watch.copies


@pytest.mark.parametrize(
    ("sampler", "passes"),
    [
        (Ancestral(0.0), 2),  # x and the network's answer
        (Multistep(1), 2),
        (Heun(), 3),  # 2 of them for the first evaluation, 4 for both
        (Multistep(2, bases.Data(), along="log_snr", rule="midpoint"), 5),
        (Multistep(3), 6),  # 2 for the slope, then x and three slopes
    ],
    ids=repr,
)
def test_a_step_passes_over_memory_as_often_as_it_has_tensors_to_add(sampler, passes):
    """An evaluation costs no more than `passes` writes of a state, and a first one at the most a
    step that is redone."""
    few, many = (walked(sampler, steps=steps)[0] for steps in (10, 30))
    assert (many.passes - few.passes) / (many.asked - few.asked) <= passes


def test_the_network_sees_one_tensor_of_times_in_every_walk():
    first, second = (walked(Multistep(2), "cpu")[1].clocks for _ in range(2))
    assert len({id(t) for t in first}) == len(first) == 8
    assert all(a is b for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sum_counts_a_tensor_once_and_what_is_nothing_not_at_all(dtype):
    x, y, z = torch.randn(3, 4, 5, dtype=dtype, generator=torch.manual_seed(0))
    each = torch.arange(1.0, 5.0, dtype=torch.float64)
    got = total(((0.5, x), (each, y), (0.0, z * torch.inf), *times(2.0, ((1.5, x), (each, y)))))
    torch.testing.assert_close(got, 3.5 * x + 3.0 * each.to(dtype).unsqueeze(1) * y)
    assert torch.equal(total(((0.0, x), (0.0, y))), torch.zeros_like(x))
    assert total(((1.0, x),)) is not x


def test_a_belief_is_its_mean_whether_it_was_given_or_is_a_sum():
    schedule, x = VariancePreserving(), torch.randn(SHAPE, generator=torch.manual_seed(0))
    for parameterisation in (parameterisations.Noise(), parameterisations.V()):
        process = GaussianProcess(schedule)
        belief = GaussianDenoiser(process, Silent(), parameterisation)(x, 0.5)
        skip, out, _, _ = parameterisation(schedule, schedule.level(0.5))
        torch.testing.assert_close(belief.mean, skip * x + out * x)
        given = type(belief)(belief.mean)
        torch.testing.assert_close(total(given.terms), total(belief.terms))

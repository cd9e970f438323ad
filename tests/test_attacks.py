"""Attacks' laws: against a line the best change is known, and every change stays within bounds."""

import pytest
import torch
from torch.nn import functional as F

from hush.errors import UserError
from hush.evaluation.attacks import PGD, SaltAndPepper, salt_and_pepper
from hush.evaluation.robustness import Share, gaussian_noise, median_filter, right, robustness
from hush.rng import Streams

EVENT = (2, 3, 4)
WEIGHT = torch.randn(EVENT, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
COUNT = 5


def line(pictures):
    """Two classes, told apart by w·x."""
    height = (WEIGHT * (pictures - 0.5)).flatten(1).sum(1)
    return torch.stack((torch.zeros_like(height), height), 1)


def pictures(low=0.3, high=0.7, seed=1, count=COUNT):
    numbers = Streams.of(seed, count).uniform(EVENT)
    return low + (high - low) * numbers


LABELS = torch.tensor([0, 1, 0, 1, 1])
UPHILL = (1.0 - 2.0 * LABELS.double()).reshape(-1, 1, 1, 1)  # along ±w the loss grows


@pytest.mark.parametrize("steps", [1, 7, 40])
def test_pgd_finds_the_best_change_of_a_line(steps):
    x, radius = pictures(), 0.1
    found = PGD("linf", radius, steps)(line, x, LABELS)
    torch.testing.assert_close(found, x + radius * UPHILL * WEIGHT.sign())
    found = PGD("l2", radius, steps)(line, x, LABELS)
    torch.testing.assert_close(found, x + radius * UPHILL * WEIGHT / WEIGHT.norm())


def test_pgd_finds_the_best_change_of_a_line_up_against_the_ends():
    x = pictures(0.0, 1.0)
    found = PGD("linf", 0.2)(line, x, LABELS)
    torch.testing.assert_close(found, (x + 0.2 * UPHILL * WEIGHT.sign()).clamp(0.0, 1.0))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("restarts", [1, 3])
def test_pgd_stays_in_the_ball_and_among_the_pictures(norm, restarts):
    x, radius = pictures(0.0, 1.0), 0.4
    found = PGD(norm, radius, 10, 0.3, restarts)(hills, x, LABELS)
    change = (found - x).flatten(1)
    size = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
    assert size.max() <= radius + 1e-12
    assert size.min() > 0.0
    assert found.min() >= 0.0
    assert found.max() <= 1.0


def hills(y):
    """A loss with many peaks: where an ascent ends depends on where it began."""
    return torch.stack((torch.zeros(len(y)), (30.0 * y).sin().flatten(1).sum(1)), 1)


def loss_of(classify, x):
    return F.cross_entropy(classify(x), LABELS, reduction="none")


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_more_restarts_never_find_less(norm):
    x = pictures()
    reached = [loss_of(hills, PGD(norm, 0.3, 5, 0.01, n)(hills, x, LABELS)) for n in (1, 2, 6)]
    assert (reached[1] >= reached[0]).all()
    assert (reached[2] >= reached[1]).all()
    assert (reached[2] > reached[0]).any()


def test_restarts_begin_evenly_in_the_ball():
    """Of n numbers a length of at most half the radius has the chance 2^-n."""
    plane = torch.full((4000, 1, 1, 2), 0.5)
    starts = PGD("l2", 0.2)._first(plane, Streams.of(0, 4000)).flatten(1)
    near = (starts.norm(dim=1) < 0.1).double().mean().item()
    assert near == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 4000) ** 0.5)
    assert starts.norm(dim=1).max() <= 0.2 * (1 + 1e-6)
    assert starts.mean(0).abs().max() < 4 * 0.1 / 4000**0.5


@pytest.mark.parametrize(
    "attack", [PGD(radius=0.1, steps=4, restarts=3), PGD("l2", 0.2, 4), SaltAndPepper(0.3, 4)]
)
def test_a_pictures_attack_is_its_own(attack):
    """Whoever stands beside it, with a defence that draws too."""
    x, noise = pictures(0.0, 1.0), gaussian_noise(0.2)
    for defence in (None, noise):
        whole = attack(hills, x, LABELS, defence, seed=3)
        tail = attack(hills, x[3:], LABELS[3:], defence, seed=3, start=3)
        torch.testing.assert_close(tail, whole[3:], atol=1e-12, rtol=0.0)
        assert torch.equal(attack(hills, x, LABELS, defence, seed=3), whole)


def test_eot_climbs_the_mean_slope_of_what_a_defence_draws():
    """The defence shows one half of the picture with the chance 3/4, else the other: near w = 0 the
    cross-entropy is a line, so one l2 step is along (3/4 w_1, 1/4 w_2)."""

    def small(y):
        return 1e-4 * line(y)

    def half(x, rng):
        first = rng.uniform(()) < 0.75
        shown = torch.zeros(len(x), *EVENT, dtype=x.dtype)
        shown[:, 0] = first.to(x).reshape(-1, 1, 1)
        shown[:, 1] = 1.0 - shown[:, 0]
        return shown * x

    x, draws = pictures(), 400
    found = PGD("l2", 0.1, 1, draws=draws)(small, x, LABELS, half)
    wanted = WEIGHT * torch.tensor([0.75, 0.25]).reshape(2, 1, 1)
    wanted = UPHILL * wanted / wanted.norm()
    cosine = ((found - x) * wanted).flatten(1).sum(1) / 0.1
    assert cosine.min() > 0.99
    one = PGD("l2", 0.1, 1)(small, x, LABELS, half) - x
    assert ((one[:, 0] == 0.0).all((1, 2)) | (one[:, 1] == 0.0).all((1, 2))).all()


def test_bpda_passes_a_defence_that_has_no_slope():
    def rounded(x, rng):
        return (4.0 * x).round() / 4.0

    x, radius = pictures(), 0.1
    assert torch.equal(PGD("linf", radius)(line, x, LABELS, rounded), x)
    found = PGD("linf", radius, bypass=True)(line, x, LABELS, rounded)
    torch.testing.assert_close(found, x + radius * UPHILL * WEIGHT.sign())


def test_an_adaptive_attack_knows_the_defence():
    """A defence that turns the picture round is beaten by walking the other way."""

    def negative(x, rng):
        return 1.0 - x

    x, radius = pictures(), 0.1
    found = PGD("linf", radius)(line, x, LABELS, negative)
    torch.testing.assert_close(found, x - radius * UPHILL * WEIGHT.sign())


def test_salt_and_pepper_strikes_its_share_of_pixels_in_all_channels():
    x = pictures(count=400)
    struck = salt_and_pepper(x, 0.3, Streams.of(0, 400))
    changed = (struck != x).all(1)
    assert torch.equal(changed, (struck != x).any(1))
    trials = changed.numel()
    assert changed.double().mean().item() == pytest.approx(0.3, abs=4 * (0.21 / trials) ** 0.5)
    values = struck[:, 0][changed]
    assert set(values.unique().tolist()) == {0.0, 1.0}
    assert values.mean().item() == pytest.approx(0.5, abs=4 * (0.25 / len(values)) ** 0.5)
    assert torch.equal(salt_and_pepper(x, 0.0, Streams.of(0, 400)), x)


def test_salt_and_pepper_keeps_the_worst_try():
    x = pictures()
    reached = [loss_of(line, SaltAndPepper(0.3, n)(line, x, LABELS)) for n in (1, 4, 16)]
    assert (reached[1] >= reached[0]).all()
    assert (reached[2] >= reached[1]).all()
    assert (reached[2] > reached[0]).any()


def test_the_median_is_scipys():
    from scipy.ndimage import median_filter as theirs

    x = pictures()
    for size in (1, 3, 5):
        wanted = theirs(x.numpy(), (1, 1, size, size), mode="nearest")
        got = median_filter(size)(x, Streams.of(0, COUNT))
        torch.testing.assert_close(got, torch.from_numpy(wanted))


def test_gaussian_noise_is_of_its_deviation():
    x = torch.full((200, 1, 8, 8), 0.5)
    change = gaussian_noise(0.05)(x, Streams.of(0, 200)) - x
    assert change.std().item() == pytest.approx(0.05, rel=4 * (0.5 / change.numel()) ** 0.5)
    assert gaussian_noise(9.0)(x, Streams.of(0, 200)).max() == 1.0


def test_robustness_counts_what_is_read_right():
    """On a line it is known who falls: whose margin is below radius·‖w‖₁."""
    x, radius = pictures(), 0.02
    labels = line(x).argmax(1)
    margin = line(x)[:, 1].abs()
    standing = (margin > radius * WEIGHT.abs().sum()).double().mean().item()
    found = robustness(line, x, labels, PGD("linf", radius))
    assert found.clean.value == 1.0
    assert found.grey_box.value == pytest.approx(standing)
    assert found.adaptive is None

    def negative(y, rng):
        return 1.0 - y

    turned = robustness(line, x, 1 - labels, PGD("linf", radius), negative, PGD("linf", radius))
    assert turned.clean.value == 1.0
    assert turned.adaptive.value == pytest.approx(standing)


def test_runs_are_averaged_before_they_are_judged():
    """A defence that shows the truth thrice as strongly as the lie, one time in two: right half of
    the time by one run, nearly always by the mean of many."""

    def coin(x, rng):
        heads = (rng.uniform(()) < 0.5).to(x).reshape(-1, 1, 1, 1)
        return heads * 3.0 * x - (1.0 - heads) * x

    def sign(x):
        height = x.flatten(1).sum(1)
        return torch.stack((-height, height), 1)

    x, labels = torch.ones(400, 1, 1, 1), torch.ones(400, dtype=torch.int64)
    once = right(sign, x, labels, coin).value
    assert once == pytest.approx(0.5, abs=4 * 0.5 / 20)
    assert right(sign, x, labels, coin, runs=41).value > 0.99


def test_a_share_knows_its_error():
    assert Share(0.36, 100).error == pytest.approx(0.048)
    assert str(Share(0.36, 100)) == "36.0 ± 4.8 %"


def test_what_cannot_be_attacked_is_said():
    x = pictures()
    for bad, labels in (
        (x + 1.0, LABELS),
        (x, LABELS[:2]),
        (x[0], LABELS),
        (x * torch.nan, LABELS),
    ):
        with pytest.raises(UserError):
            PGD()(line, bad, labels)
    for make in (
        lambda: PGD(radius=0.0),
        lambda: PGD(step_size=0.0),
        lambda: PGD(restarts=0),
        lambda: PGD(draws=0),
        lambda: SaltAndPepper(1.5),
        lambda: SaltAndPepper(tries=0),
        lambda: median_filter(2),
        lambda: right(line, x, LABELS, runs=0),
    ):
        with pytest.raises(UserError):
            make()

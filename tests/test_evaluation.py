"""Laws of the distances, and judgements whose answer is known beforehand."""

import io
import subprocess
import sys

import pytest
import torch
from jaxtyping import TypeCheckError
from rich.console import Console

from hush.data import digits
from hush.errors import UserError
from hush.evaluation import (
    accuracy,
    fit_classifier,
    fitted_gaussian,
    frechet,
    judge,
    nearest,
    print_report,
    quantise,
    ratio_interval,
    real_or_fake,
)

torch.set_num_threads(1)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_moments(mean, cov, count, seed):
    """Samples whose sample mean and covariance are `mean` and `cov`, to rounding."""
    x = normal(count, len(mean), seed=seed)
    x = x - x.mean(0)
    whitened = torch.linalg.solve_triangular(
        torch.linalg.cholesky(torch.cov(x.T)), x.T, upper=False
    )
    return mean + (torch.linalg.cholesky(cov) @ whitened).T


@pytest.fixture(scope="module")
def parts():
    """1437 random digits to train on and 360 to test with."""
    source = digits()
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))
    train, test = order[:1437], order[1437:]
    return source.images[train], source.labels[train], source.images[test], source.labels[test]


@pytest.fixture(scope="module")
def classifier(parts):
    return fit_classifier(parts[0], parts[1], 10)


# distances


def test_frechet_is_the_closed_form_of_two_gaussians():
    # Covariances that do not commute; in two dimensions tr √M = √(tr M + 2 √det M).
    cov_a = torch.tensor([[2.0, 0.5], [0.5, 1.0]]).double()
    cov_b = torch.tensor([[1.0, -0.3], [-0.3, 3.0]]).double()
    product = cov_a @ cov_b
    root = (product.trace() + 2.0 * product.det().sqrt()).sqrt()
    expected = 5.0 + float(cov_a.trace() + cov_b.trace() - 2.0 * root)
    mean_a, mean_b = torch.tensor([0.0, 1.0]).double(), torch.tensor([1.0, -1.0]).double()
    found = frechet(with_moments(mean_a, cov_a, 40, 3), with_moments(mean_b, cov_b, 60, 4))
    assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("count", [12, 400])  # 12 samples in 20 dimensions: singular covariances
def test_frechet_is_a_distance_that_rotation_leaves(count):
    a, b = normal(count, 20, seed=5), 0.5 + 2.0 * normal(count + 7, 20, seed=6)
    axes = torch.linalg.qr(normal(20, 20, seed=7)).Q
    far = frechet(a, b)
    assert far > 1.0
    assert frechet(a, a) == pytest.approx(0.0, abs=1e-9)
    assert frechet(b, a) == pytest.approx(far, rel=1e-6)
    assert frechet(a @ axes, b @ axes) == pytest.approx(far, rel=1e-6)
    assert frechet(3.0 * a, 3.0 * b) == pytest.approx(9.0 * far, rel=1e-6)


def test_frechet_falls_to_the_truth_as_sets_grow():
    few = frechet(normal(50, 8, seed=1), normal(50, 8, seed=2))
    many = frechet(normal(5000, 8, seed=1), normal(5000, 8, seed=2))
    assert 0.0 < many < few / 20


def test_nearest_is_brute_force_and_finds_copies_at_zero():
    references = normal(4500, 3, 2, 2, seed=8).float()  # more than two blocks
    samples = torch.cat((normal(2100, 3, 2, 2, seed=9).float(), references[[4400, 7]]))
    distances, indices = nearest(samples, references)
    every = torch.cdist(
        samples[-300:].flatten(1).double(), references.flatten(1).double(),
        compute_mode="donot_use_mm_for_euclid_dist",
    )  # fmt: skip
    torch.testing.assert_close(distances[-300:].double(), every.min(1).values)
    assert torch.equal(indices[-300:], every.min(1).indices)
    assert indices[-2:].tolist() == [4400, 7]
    assert distances[-2:].tolist() == [0.0, 0.0]


def test_a_forest_cannot_tell_halves_of_one_set_but_tells_a_shift(parts):
    images = parts[0]
    assert real_or_fake(images[:200], images[200:400]) == pytest.approx(0.5, abs=0.09)
    assert real_or_fake(images[:200], images[200:400] + 0.03) > 0.97
    small = real_or_fake(images[:30], images[30:300])  # balanced: 30 against 30
    assert small == real_or_fake(images[:30], images[30:300])
    assert small == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize(
    "call",
    [
        lambda: frechet(torch.zeros(1, 3), torch.zeros(5, 3)),
        lambda: frechet(torch.zeros(5, 3), torch.zeros(5, 4)),
        lambda: nearest(torch.zeros(5, 3), torch.zeros(0, 3)),
        lambda: real_or_fake(torch.zeros(9, 3), torch.zeros(50, 3)),
        lambda: quantise(torch.zeros(3), 1),
        lambda: fit_classifier(torch.zeros(5, 1, 8, 8), torch.tensor([0, 1, 2, 3, 4]), 4),
        lambda: fit_classifier(torch.zeros(5, 1, 8, 8), torch.tensor([0, 1, 2]), 4),
        lambda: fit_classifier(torch.zeros(2, 1, 3, 8), torch.tensor([0, 1]), 2),
        lambda: judge(
            torch.zeros(20, 1, 8, 9), None, torch.zeros(20, 1, 8, 8), None,
            torch.zeros(20, 1, 8, 8), None,
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(call):
    # Where beartype watches the annotations, it may speak first.
    with pytest.raises((UserError, TypeCheckError), match=r"[Ee]xpected"):
        call()


# baselines


def test_quantised_digits_are_digits_to_the_last_bit(parts):
    images = parts[0]
    assert torch.equal(quantise(images + 0.03 * torch.ones_like(images), 17), images)


def test_the_fitted_gaussian_has_the_moments_of_the_pictures():
    images = 0.5 + 0.04 * normal(300, 1, 2, 2).float() @ torch.tensor([[1.0, 0.5], [0.0, 1.0]])
    drawn = fitted_gaussian(images, 40_000).flatten(1)
    given = images.flatten(1)
    torch.testing.assert_close(drawn.mean(0), given.mean(0), atol=1e-3, rtol=0)
    torch.testing.assert_close(torch.cov(drawn.T), torch.cov(given.T), atol=5e-5, rtol=0.03)


def test_the_interval_of_the_ratio_covers_one_for_a_perfect_model():
    # The three sets are draws of one law; 95 % of the intervals should hold 1, and 24 or more of
    # 30 do so with probability 0.999.
    covered = 0
    for seed in range(30):
        sets = normal(260, 4, seed=seed)
        low, high = ratio_interval(sets[:100], sets[100:200], sets[200:], seed)
        assert low < high
        covered += low < 1.0 < high
    assert covered >= 24


# the classifier


def test_the_classifier_reads_digits(parts, classifier):
    assert accuracy(classifier, parts[2], parts[3]) >= 0.98
    assert classifier.features(parts[2]).shape == (360, 64)


def test_a_seed_settles_the_classifier_and_nothing_else_moves(parts):
    images, labels = parts[:2]
    before = torch.get_rng_state()
    with torch.no_grad():  # a caller's no_grad does not stop it from learning
        one = fit_classifier(images, labels, 10, seed=3, steps=20)
    torch.manual_seed(12345)
    moved = torch.get_rng_state()
    same = fit_classifier(images, labels, 10, seed=3, steps=20)
    assert torch.equal(torch.get_rng_state(), moved)
    torch.set_rng_state(before)
    other = fit_classifier(images, labels, 10, seed=4, steps=20)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.decide.weight, other.decide.weight)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 5, 9), (4, 33, 20), (3, 64, 64)])
def test_the_classifier_takes_any_size(shape):
    labels = torch.arange(12) % 2
    images = (labels.reshape(-1, 1, 1, 1) * 0.8).float().expand(12, *shape)
    few = fit_classifier(images, labels, 2, steps=12)
    assert accuracy(few, images, labels) == 1.0


# the judgement


def test_the_training_pictures_as_samples_are_caught_as_copies(parts, classifier):
    images, labels, tests, test_labels = parts
    report = judge(images, labels, images, labels, tests, test_labels, 10, 17, 0, classifier)
    assert report.feature_distance == pytest.approx(report.floor, rel=1e-6)
    assert report.interval[0] < report.ratio < report.interval[1]
    assert report.memorisation.share == 1.0
    assert report.memorisation.nearest_sample == 0.0
    assert report.real_or_fake == pytest.approx(0.5, abs=0.08)
    assert report.class_agreement > 0.99
    assert report.trained_on_samples == pytest.approx(report.classifier_accuracy, abs=0.015)
    assert report.classifier_accuracy >= 0.98


def test_one_gaussian_is_many_floors_away_and_told_by_a_forest(parts, classifier):
    images, labels, tests, test_labels = parts
    samples = fitted_gaussian(images, 1000, seed=9)  # judge itself finds the grey levels
    report = judge(samples, None, images, labels, tests, test_labels, 10, 17, 0, classifier)
    assert report.feature_distance == pytest.approx(report.gaussian, rel=0.15)
    assert report.interval[0] > 2.0
    assert 5.0 < report.ratio < 12.0
    assert report.real_or_fake > 0.93
    assert report.memorisation.share < 0.005
    assert report.compared == 1000
    assert report.class_agreement is None
    assert report.trained_on_samples is None


def test_pictures_held_out_are_a_perfect_model(parts, classifier):
    images, labels, tests, test_labels = parts
    # Half of the test pictures stand for the samples of a model that is perfect and copies
    # nothing. Over 60 such halves the ratio was 1.27 ± 0.6: 180 pictures settle no more.
    held = tests[180:], test_labels[180:]
    report = judge(tests[:180], None, images, labels, *held, 10, 17, 0, classifier)
    assert 0.4 < report.ratio < 2.5
    assert report.feature_distance < report.gaussian / 2
    assert report.memorisation.share <= 0.05
    assert report.memorisation.nearest_sample == pytest.approx(
        report.memorisation.nearest_fresh, rel=0.1
    )
    assert report.real_or_fake == pytest.approx(0.5, abs=0.1)


def test_without_classes_the_features_are_pixels_and_the_table_says_so(parts):
    images, _, tests, _ = parts
    report = judge(fitted_gaussian(images, 400), None, images, None, tests, None, levels=17)
    assert report.classifier_accuracy is None
    assert report.feature_distance == pytest.approx(report.gaussian, rel=0.1)
    assert report.real_or_fake > 0.93
    console = Console(width=110, record=True, file=io.StringIO())
    print_report(report, console)
    text = console.export_text()
    assert "principal components" in text
    assert "class agreement" not in text


def test_the_room_imports_without_scikit_learn():
    code = "import sys, hush.evaluation; assert not {'sklearn', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

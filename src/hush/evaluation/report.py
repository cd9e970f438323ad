"""One judgement of a set of samples: every number beside what it is to be read against."""

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int64
from rich.console import Console
from rich.table import Table
from torch import Tensor

from hush.errors import UserError
from hush.evaluation.baselines import (
    Space,
    fitted_gaussian,
    pixel_space,
    quantise,
    ratio_interval,
)
from hush.evaluation.classifier import Classifier, accuracy, check_labels, embed, fit_classifier
from hush.evaluation.distances import frechet, nearest, real_or_fake
from hush.rng import derive

_FEWEST = 10  # pictures of a kind: fewer give no number worth printing

Images = Float[Tensor, "_ channel height width"]  # of any number: each set has its own
Labels = Int64[Tensor, " _"]


@dataclass(frozen=True)
class Report:
    """Each number, with what it is to be read against; None where the data have no classes."""

    compared: int
    """How many samples, training pictures and draws of the Gaussian stand in the distances."""
    tests: int
    """How many test pictures they are compared to."""
    feature_distance: float
    """Fréchet distance of the samples to the test pictures, in features."""
    floor: float
    """The same of as many training pictures: what a perfect model shows with so few pictures.
    The classifier has seen these, which lowers it a little: by 5 % on digits, measured."""
    gaussian: float
    """The same of one Gaussian fitted to the training pixels, with the data's grey levels."""
    interval: tuple[float, float]
    """The 95 % bootstrap interval of `feature_distance / floor`."""
    classifier_accuracy: float | None
    """On the test pictures, of the classifier (fitted to the training pictures) whose features
    these are; None when the features are principal components of the pixels."""
    class_agreement: float | None
    """The share of samples that the classifier gives the class they were asked to be."""
    trained_on_samples: float | None
    """On the test pictures, the accuracy of a classifier fitted to the samples alone."""
    real_or_fake: float
    """How often a forest tells samples from test pictures; 0.5 is ideal."""
    nearest_sample: float
    """Median Euclidean distance of the samples to the nearest training picture."""
    nearest_test: float
    """The same of the test pictures."""
    copies: float
    """The share of samples as close to a training picture as the closest 1 % of the test
    pictures are; 0.01 for a perfect model."""

    @property
    def ratio(self) -> float:
        """The distance in floors: 1 for a perfect model."""
        return self.feature_distance / self.floor if self.floor > 0.0 else float("inf")

    def lines(self) -> list[tuple[str, str, str]]:
        """(what, value, how to read it), the rows of a table; what is None has no row."""
        return [*self._distance_lines(), *self._class_lines(), *self._sample_lines()]

    def _distance_lines(self) -> list[tuple[str, str, str]]:
        if self.classifier_accuracy is None:
            space = (
                "in principal components of the pixels, as there are no classes: blind to all but "
                "their mean and covariance, so trust real or fake more"
            )
        else:
            space = "in the features of a classifier of the training pictures"
        return [
            (
                "feature distance",
                f"{self.feature_distance:.4g}",
                f"{self.compared:,} samples to {self.tests:,} test pictures, {space}",
            ),
            ("floor", f"{self.floor:.4g}", "the training pictures: a perfect model is as far"),
            ("Gaussian", f"{self.gaussian:.4g}", "one Gaussian fitted to the pixels: beat it"),
            (
                "distance / floor",
                f"{self.ratio:.2f} ({self.interval[0]:.2f} to {self.interval[1]:.2f})",
                "1 is ideal; 95 % interval",
            ),
        ]

    def _class_lines(self) -> list[tuple[str, str, str]]:
        own = _percent(self.classifier_accuracy)
        agreement = f"samples that show the class asked for; test pictures: {own}"
        taught = f"test accuracy of a classifier that saw samples alone; training pictures: {own}"
        rows = [
            ("class agreement", self.class_agreement, agreement),
            ("trained on samples", self.trained_on_samples, taught),
        ]
        return [(what, _percent(value), how) for what, value, how in rows if value is not None]

    def _sample_lines(self) -> list[tuple[str, str, str]]:
        return [
            (
                "real or fake",
                _percent(self.real_or_fake),
                "how often a forest tells samples from test pictures; 50 % is ideal",
            ),
            (
                "nearest training picture",
                f"{self.nearest_sample:.3g}",
                f"median distance; test pictures are at {self.nearest_test:.3g}",
            ),
            (
                "copies",
                _percent(self.copies),
                "samples as close to a training picture as the closest 1 % of test pictures; "
                "much above 1 % is memorised",
            ),
        ]


@torch.no_grad()
def judge(
    samples: Images,
    sample_labels: Labels | None,
    train_images: Images,
    train_labels: Labels | None,
    test_images: Images,
    test_labels: Labels | None,
    classes: int = 0,
    levels: int | None = None,
    seed: int = 0,
    classifier: Classifier | None = None,
) -> Report:
    """Judge samples of a model of `train_images` by pictures that it never saw, all in [0, 1].

    The samples are first quantised to the data's `levels`. With two classes or more and labels of
    both parts, features are those of a classifier fitted here (or `classifier`, to judge many sets
    alike); else principal components of the pixels. Raises `UserError` for sets that do not fit
    each other, or fewer than 10 pictures in one.
    """
    _check(samples, train_images, test_images)
    train = train_images.float()
    samples, test = quantise(samples.to(train), levels), test_images.to(train)
    agreement = own = taught = None
    if classes > 1 and train_labels is not None and test_labels is not None:
        check_labels("test_labels", test_labels, len(test), classes)
        if classifier is None:
            classifier = fit_classifier(train, train_labels, classes, seed)
        own, space = accuracy(classifier, test, test_labels), partial(embed, classifier)
        if sample_labels is not None:
            check_labels("sample_labels", sample_labels, len(samples), classes)
            agreement = accuracy(classifier, samples, sample_labels)
            taught = accuracy(
                fit_classifier(samples, sample_labels, classes, seed), test, test_labels
            )
    else:
        space = pixel_space(train, seed)
    to_train, held_to_train = nearest(samples, train)[0], nearest(test, train)[0]
    return Report(
        **_distances(space, samples, train, test, levels, seed),
        classifier_accuracy=own,
        class_agreement=agreement,
        trained_on_samples=taught,
        real_or_fake=real_or_fake(test, samples, seed),
        nearest_sample=float(to_train.median()),
        nearest_test=float(held_to_train.median()),
        copies=float((to_train <= held_to_train.quantile(0.01)).double().mean()),
    )


def print_report(report: Report, console: Console | None = None) -> None:
    """The report as a table, on `console` or the standard output."""
    table = Table()
    table.add_column("what", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("how to read it")
    for line in report.lines():
        table.add_row(*line)
    (console or Console()).print(table)


def _distances(
    space: Space, samples: Images, train: Images, test: Images, levels: int | None, seed: int
) -> dict:
    """The fields of a `Report` that are Fréchet distances, each between sets of the same size:
    a distance of fewer pictures is larger, so unequal sets cannot be read against each other."""
    count = min(len(samples), len(train))
    generator = torch.Generator().manual_seed(derive(seed, "pictures compared"))

    def some(images: Images) -> Images:
        return images[torch.randperm(len(images), generator=generator)[:count]]

    gaussian = fitted_gaussian(train, count, levels, seed)
    of_samples, of_train, of_gaussian, of_test = (
        space(images).cpu() for images in (some(samples), some(train), gaussian, test)
    )
    return {
        "compared": count,
        "tests": len(test),
        "feature_distance": frechet(of_samples, of_test),
        "floor": frechet(of_train, of_test),
        "gaussian": frechet(of_gaussian, of_test),
        "interval": ratio_interval(of_samples, of_train, of_test, seed),
    }


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100.0 * share:.1f} %"


def _check(samples: Tensor, train: Tensor, test: Tensor) -> None:
    for name, images in (("samples", samples), ("train_images", train), ("test_images", test)):
        if images.ndim != 4 or images.shape[1:] != train.shape[1:] or len(images) < _FEWEST:
            raise UserError(
                f"{name} are {tuple(images.shape)}; expected {_FEWEST} or more pictures (count, "
                f"channel, height, width), each {tuple(train.shape[1:])}."
            )

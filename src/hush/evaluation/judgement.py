"""One judgement of a set of samples: every number beside what it is to be read against."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hush.errors import UserError
from hush.evaluation.baselines import fitted_gaussian, quantise, ratio_interval
from hush.evaluation.bootstrap import Measured, about, halves
from hush.evaluation.classifier import Classifier, accuracy, check_labels, fit_classifier
from hush.evaluation.distances import frechet, nearest, real_or_fake
from hush.evaluation.kernel import kernel_distance
from hush.evaluation.manifolds import NAMES, manifolds
from hush.evaluation.memorisation import FEWEST, Memorisation, memorisation
from hush.evaluation.spaces import Features, FeatureSpace, Labels, Records, feature_space
from hush.rng import derive

Line = tuple[str, str, str]
Labelled = tuple[Records, Labels | None]


@dataclass(frozen=True)
class Judgement:
    """Each number, with what it is to be read against; None where the data have no classes.

    A `Measured` number has a 95 % interval and a floor, what a perfect model gets: by theory where
    it is known (distances without bias 0, density 1, `expected_coverage`), else what as many
    training records get.
    """

    space: str
    """The features that distances are in, in words."""
    compared: int
    """How many samples, training records and draws of the Gaussian stand in the distances."""
    tests: int
    """How many test records they are compared to."""
    feature_distance: float
    """Fréchet distance of the samples to the test records, in features."""
    floor: float
    """The same of as many training records: what a perfect model shows with so few records.
    A classifier has seen these, which lowers it a little: by 5 % on digits, measured."""
    gaussian: float
    """The same of one Gaussian fitted to the training records, with the data's levels."""
    interval: tuple[float, float]
    """The 95 % bootstrap interval of `feature_distance / floor`."""
    unbiased: Measured
    """The Fréchet distance of infinitely many records, 2 F_n - mean F_{n/2} over `halves`: its bias
    falls as 1/n (Chong and Forsyth 2020, "Effectively unbiased FID and inception score")."""
    kernel: Measured
    """`kernel_distance` in the features."""
    precision: Measured
    recall: Measured
    density: Measured
    coverage: Measured
    """These four are those of `manifolds`."""
    real_or_fake: float
    """How often a forest tells samples from test records; 0.5 is ideal."""
    memorisation: Memorisation
    """Distances to the training records, in the data's own units."""
    classifier_accuracy: float | None = None
    """On the test records, of the classifier (fitted to the training records) whose features
    these are."""
    class_agreement: float | None = None
    """The share of samples that the classifier gives the class they were asked to be."""
    trained_on_samples: float | None = None
    """On the test records, the accuracy of a classifier fitted to the samples alone."""

    @property
    def ratio(self) -> float:
        """The distance in floors: 1 for a perfect model."""
        return self.feature_distance / self.floor if self.floor > 0.0 else float("inf")

    def lines(self) -> list[Line]:
        """(what, value, how to read it), the rows of a table; what is None has no row."""
        told = "how often a forest tells samples from test records; 50 % is ideal"
        return [
            *self._distance_lines(),
            *self._manifold_lines(),
            *self._class_lines(),
            ("real or fake", percent(self.real_or_fake), told),
            *self.memorisation.lines(),
        ]

    def _distance_lines(self) -> list[Line]:
        low, high = self.interval
        about = f"Fréchet, {self.compared:,} samples to {self.tests:,} test records, {self.space}"
        return [
            ("feature distance", f"{self.feature_distance:.4g}", about),
            ("floor", f"{self.floor:.4g}", "the training records: a perfect model is as far"),
            ("Gaussian", f"{self.gaussian:.4g}", "one Gaussian fitted to the data: beat it"),
            ("distance / floor", f"{self.ratio:.2f} ({low:.2f} to {high:.2f})", "1 is ideal"),
            ("without bias", str(self.unbiased), "Fréchet's of endless records; 0 is ideal"),
            ("kernel distance", str(self.kernel), "of no Gaussian, without bias; 0 is ideal"),
        ]

    def _manifold_lines(self) -> list[Line]:
        says = {
            "precision": "samples among the test records",
            "recall": "test records among the samples",
            "density": "how thick the test records lie about a sample",
            "coverage": "test records with a sample nearby",
        }
        found = ((name, getattr(self, name)) for name in NAMES)
        return [(name, str(m), f"{says[name]}; ideal {m.floor:.3g}") for name, m in found]

    def _class_lines(self) -> list[Line]:
        own = percent(self.classifier_accuracy or 0.0)
        agreement = f"samples that show the class asked for; test records: {own}"
        taught = f"test accuracy of a classifier that saw samples alone; training records: {own}"
        rows = [
            ("class agreement", self.class_agreement, agreement),
            ("trained on samples", self.trained_on_samples, taught),
        ]
        return [(what, percent(value), how) for what, value, how in rows if value is not None]


@torch.no_grad()
def judge(
    samples: Records,
    sample_labels: Labels | None,
    train: Records,
    train_labels: Labels | None,
    test: Records,
    test_labels: Labels | None,
    classes: int = 0,
    levels: int | None = None,
    seed: int = 0,
    classifier: Classifier | None = None,
    features: Features | FeatureSpace = "auto",
    memorised: Memorisation | None = None,
) -> Judgement:
    """Judge samples of a model of `train` by records `test` that it never saw.

    Samples of data that have `levels` are first moved to them. `features` names a space, fitted
    here or with `classifier`, to judge many sets alike; or is one. `memorised` is what was found of
    more training records than these. Raises `UserError` for sets that do not fit each other, or
    fewer than 10 records in one.
    """
    _check(samples, train, test)
    train = train.float()
    samples, test = (
        quantise(samples.to(train), levels) if levels else samples.to(train),
        test.to(train),
    )
    if not isinstance(features, FeatureSpace):
        features = feature_space(
            features,
            train,
            None if test_labels is None else train_labels,
            classes,
            seed,
            classifier,
        )
    told = {}
    if features.classifier is not None:
        told = _classified(features.classifier, (samples, sample_labels), (test, test_labels), seed)
    return Judgement(
        space=features.words,
        **_distances(features, samples, train, test, levels, seed),
        **told,
        real_or_fake=real_or_fake(test, samples, seed),
        memorisation=memorised or memorisation(nearest(samples, train)[0], nearest(test, train)[0]),
    )


def _classified(classifier: Classifier, samples: Labelled, test: Labelled, seed: int) -> dict:
    """The fields of a `Judgement` that are accuracies."""
    classes = classifier.settings["classes"]
    check_labels("test_labels", test[1], len(test[0]), classes)
    told = {"classifier_accuracy": accuracy(classifier, *test)}
    if samples[1] is not None:
        check_labels("sample_labels", samples[1], len(samples[0]), classes)
        told["class_agreement"] = accuracy(classifier, *samples)
        told["trained_on_samples"] = accuracy(fit_classifier(*samples, classes, seed), *test)
    return told


def _distances(
    space: FeatureSpace,
    samples: Records,
    train: Records,
    test: Records,
    levels: int | None,
    seed: int,
) -> dict:
    """The fields of a `Judgement` that are of features, each between sets of the same size: a
    distance of fewer records is larger, so unequal sets cannot be read against each other."""
    count = min(len(samples), len(train))
    generator = torch.Generator().manual_seed(derive(seed, "pictures compared"))

    def some(records: Records) -> Records:
        return records[torch.randperm(len(records), generator=generator)[:count]]

    gaussian = fitted_gaussian(train, count, levels, seed)
    ours, learnt, normal, unseen = (
        space.of(records).double().cpu() for records in (some(samples), some(train), gaussian, test)
    )
    distance = frechet(ours, unseen)
    return {
        "compared": count,
        "tests": len(test),
        "feature_distance": distance,
        "floor": frechet(learnt, unseen),
        "gaussian": frechet(normal, unseen),
        "interval": ratio_interval(ours, learnt, unseen, seed),
        "unbiased": _unbiased(distance, ours, unseen, seed),
        "kernel": kernel_distance(ours, unseen, seed),
        **manifolds(unseen, ours, learnt, seed=seed),
    }


def _unbiased(distance: float, a: Tensor, b: Tensor, seed: int) -> Measured:
    """The Fréchet distance of infinitely many, from that of all and of halves."""
    drawn = halves(
        lambda i, j: torch.tensor([frechet(a[i], b[j])]), (len(a), len(b)), seed
    ).squeeze(1)
    value = 2.0 * distance - drawn.mean().item()
    return Measured(value, about(value, drawn), 0.0)


def percent(share: float) -> str:
    """A share in words.

    >>> percent(0.125)
    '12.5 %'
    """
    return f"{100.0 * share:.1f} %"


def _check(samples: Tensor, train: Tensor, test: Tensor) -> None:
    for name, records in (("samples", samples), ("train", train), ("test", test)):
        if records.ndim < 2 or records.shape[1:] != train.shape[1:] or len(records) < FEWEST:
            raise UserError(
                f"{name} are {tuple(records.shape)}; expected {FEWEST} or more records (count, "
                f"*event), each {tuple(train.shape[1:])}."
            )

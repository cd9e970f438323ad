"""The spaces that distances between sets are measured in, by name."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

from jaxtyping import Float, Int64
from torch import Tensor

from hush.errors import UserError
from hush.evaluation.baselines import Space, pixel_space
from hush.evaluation.classifier import Classifier, embed, fit_classifier
from hush.evaluation.patches import patch_space

Records = Float[Tensor, " _ *event"]
Labels = Int64[Tensor, " _"]
Features = Literal["auto", "classifier", "components", "patches", "raw"]


class FeatureSpace(NamedTuple):
    """A map of records (count, *event) to features (count, dim), and what it is in words."""

    of: Space
    words: str
    classifier: Classifier | None = None
    """The one whose features they are."""


def feature_space(
    features: Features,
    train: Records,
    labels: Labels | None,
    classes: int,
    seed: int = 0,
    classifier: Classifier | None = None,
) -> FeatureSpace:
    """The space of that name, fitted to training records. "auto" is "classifier" where there are
    labels of two classes or more, else "components". Raises `UserError` for a classifier without
    labels."""
    labelled = classes > 1 and labels is not None
    if features == "auto":
        features = "classifier" if labelled else "components"
    if features == "classifier":
        if not labelled:
            raise UserError(
                "Features of a classifier need labels of two classes or more: choose components, "
                "patches or raw, or give data in subfolders, one for each class."
            )
        own = classifier or fit_classifier(train, labels, classes, seed)
        words = "in the features of a classifier of the training records"
        return FeatureSpace(partial(embed, own), words, own)
    return _UNLABELLED[features](train, seed)


def _components(train: Records, seed: int) -> FeatureSpace:
    words = "in principal components of the data, where Fréchet's sees mean and covariance alone"
    return FeatureSpace(pixel_space(train, seed), words)


def _patches(train: Records, seed: int) -> FeatureSpace:
    words = "in the features of a network that learnt how training pictures are spoilt"
    return FeatureSpace(patch_space(train, seed), words)


def _raw(train: Records, seed: int) -> FeatureSpace:
    return FeatureSpace(lambda records: records.flatten(1).double(), "in the data's own units")


_UNLABELLED: dict[str, Callable[[Tensor, int], FeatureSpace]] = {
    "components": _components,
    "patches": _patches,
    "raw": _raw,
}

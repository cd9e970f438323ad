"""How good samples are, every number beside what it is to be read against."""

from hush.evaluation.baselines import fitted_gaussian, quantise, ratio_interval
from hush.evaluation.classifier import Classifier, accuracy, fit_classifier
from hush.evaluation.distances import frechet, nearest, real_or_fake
from hush.evaluation.likelihood import Estimate, histogram, likelihood
from hush.evaluation.report import Report, judge, print_report

__all__ = [
    "Classifier",
    "Estimate",
    "Report",
    "accuracy",
    "fit_classifier",
    "fitted_gaussian",
    "frechet",
    "histogram",
    "judge",
    "likelihood",
    "nearest",
    "print_report",
    "quantise",
    "ratio_interval",
    "real_or_fake",
]

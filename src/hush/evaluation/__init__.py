"""How good samples are, every number beside what it is to be read against."""

from hush.evaluation.baselines import fitted_gaussian, quantise, ratio_interval
from hush.evaluation.classifier import Classifier, accuracy, fit_classifier
from hush.evaluation.distances import frechet, nearest, real_or_fake
from hush.evaluation.held_out import Losses, held_out_each, held_out_losses
from hush.evaluation.likelihood import Estimate, histogram, likelihood
from hush.evaluation.report import Report, judge, print_report
from hush.evaluation.yardstick import Yardsticks, verdict, yardsticks

__all__ = [
    "Classifier",
    "Estimate",
    "Losses",
    "Report",
    "Yardsticks",
    "accuracy",
    "fit_classifier",
    "fitted_gaussian",
    "frechet",
    "held_out_each",
    "held_out_losses",
    "histogram",
    "judge",
    "likelihood",
    "nearest",
    "print_report",
    "quantise",
    "ratio_interval",
    "real_or_fake",
    "verdict",
    "yardsticks",
]

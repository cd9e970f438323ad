"""How good samples are, every number beside what it is to be read against."""

from hush.evaluation.baselines import fitted_gaussian, quantise, ratio_interval
from hush.evaluation.bootstrap import interval
from hush.evaluation.classical import (
    bicubic,
    biharmonic,
    blur_residual,
    difference,
    median,
    pca_fill,
    replicated,
)
from hush.evaluation.classifier import Classifier, accuracy, fit_classifier
from hush.evaluation.contrastive import fit_dual
from hush.evaluation.detection import auroc, best_threshold, dice, f1, miou
from hush.evaluation.distances import frechet, nearest, real_or_fake
from hush.evaluation.held_out import Losses, held_out_each, held_out_losses
from hush.evaluation.likelihood import Estimate, histogram, likelihood
from hush.evaluation.patches import patch_space
from hush.evaluation.pictures import consistency, diversity, psnr, ssim
from hush.evaluation.regression import answers, fit_autoencoder, fit_regression
from hush.evaluation.report import Report, judge, print_report
from hush.evaluation.yardstick import Yardsticks, verdict, yardsticks

__all__ = [
    "Classifier",
    "Estimate",
    "Losses",
    "Report",
    "Yardsticks",
    "accuracy",
    "answers",
    "auroc",
    "best_threshold",
    "bicubic",
    "biharmonic",
    "blur_residual",
    "consistency",
    "dice",
    "difference",
    "diversity",
    "f1",
    "fit_autoencoder",
    "fit_classifier",
    "fit_dual",
    "fit_regression",
    "fitted_gaussian",
    "frechet",
    "held_out_each",
    "held_out_losses",
    "histogram",
    "interval",
    "judge",
    "likelihood",
    "median",
    "miou",
    "nearest",
    "patch_space",
    "pca_fill",
    "print_report",
    "psnr",
    "quantise",
    "ratio_interval",
    "real_or_fake",
    "replicated",
    "ssim",
    "verdict",
    "yardsticks",
]

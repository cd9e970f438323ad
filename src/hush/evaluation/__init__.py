"""How good samples are, every number beside what it is to be read against."""

from hush.evaluation.autoregression import Autoregression, fit_autoregression
from hush.evaluation.baselines import fitted_gaussian, quantise, ratio_interval
from hush.evaluation.beliefs import Believed, believed
from hush.evaluation.bits import Bits
from hush.evaluation.bootstrap import Measured, interval
from hush.evaluation.calibration import (
    Calibration,
    calibration,
    calibration_plot,
    coverage,
    interval_width,
    ranks,
)
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
from hush.evaluation.comparison import Comparison, Shown, Table
from hush.evaluation.contrastive import fit_dual
from hush.evaluation.detection import auroc, best_threshold, dice, f1, miou
from hush.evaluation.distances import frechet, nearest, real_or_fake
from hush.evaluation.examine import Asked, examine, quick
from hush.evaluation.forecasts import (
    Score,
    crps,
    crps_sum,
    csdi_crps,
    fair_crps,
    gaussian_crps,
    mae,
    normalised_crps,
    quantile_crps,
    rmse,
)
from hush.evaluation.gaussian_process import gaussian_process, gaussian_process_posterior
from hush.evaluation.held_out import Losses, held_out_each, held_out_losses
from hush.evaluation.judgement import Judgement, judge
from hush.evaluation.kernel import kernel_distance
from hush.evaluation.likelihood import Estimate, histogram, likelihood
from hush.evaluation.manifolds import expected_coverage, manifolds
from hush.evaluation.memorisation import Memorisation, memorisation, nearest_of
from hush.evaluation.naive import last_value, linear_interpolation, seasonal_naive
from hush.evaluation.page import About
from hush.evaluation.patches import patch_space
from hush.evaluation.pictures import consistency, diversity, psnr, ssim
from hush.evaluation.regression import answers, fit_autoencoder, fit_regression
from hush.evaluation.report import Pictures, Report, print_report
from hush.evaluation.smoothing import arima, ets
from hush.evaluation.spaces import FeatureSpace, feature_space
from hush.evaluation.verdicts import Verdict
from hush.evaluation.yardstick import Yardsticks, verdict, yardsticks

__all__ = [
    "About",
    "Asked",
    "Autoregression",
    "Believed",
    "Bits",
    "Calibration",
    "Classifier",
    "Comparison",
    "Estimate",
    "FeatureSpace",
    "Judgement",
    "Losses",
    "Measured",
    "Memorisation",
    "Pictures",
    "Report",
    "Score",
    "Shown",
    "Table",
    "Verdict",
    "Yardsticks",
    "accuracy",
    "answers",
    "arima",
    "auroc",
    "believed",
    "best_threshold",
    "bicubic",
    "biharmonic",
    "blur_residual",
    "calibration",
    "calibration_plot",
    "consistency",
    "coverage",
    "crps",
    "crps_sum",
    "csdi_crps",
    "dice",
    "difference",
    "diversity",
    "ets",
    "examine",
    "expected_coverage",
    "f1",
    "fair_crps",
    "feature_space",
    "fit_autoencoder",
    "fit_autoregression",
    "fit_classifier",
    "fit_dual",
    "fit_regression",
    "fitted_gaussian",
    "frechet",
    "gaussian_crps",
    "gaussian_process",
    "gaussian_process_posterior",
    "held_out_each",
    "held_out_losses",
    "histogram",
    "interval",
    "interval_width",
    "judge",
    "kernel_distance",
    "last_value",
    "likelihood",
    "linear_interpolation",
    "mae",
    "manifolds",
    "median",
    "memorisation",
    "miou",
    "nearest",
    "nearest_of",
    "normalised_crps",
    "patch_space",
    "pca_fill",
    "print_report",
    "psnr",
    "quantile_crps",
    "quantise",
    "quick",
    "ranks",
    "ratio_interval",
    "real_or_fake",
    "replicated",
    "rmse",
    "seasonal_naive",
    "ssim",
    "verdict",
    "yardsticks",
]

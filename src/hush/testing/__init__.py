"""Exact answers, and the suites that hold every class to its laws.

    from hush import testing
    data = testing.GaussianMixture.of([0.3, 0.7], [[-2.0, 0.0], [1.0, 1.0]], [0.2, 0.5])
    never_wrong = testing.MixtureDenoiser(process, data)      # a denoiser without training
    testing.check_sampler(MySampler(), Cosine())              # AssertionError, in plain words

A new class of hush is found by `every` and meets its suite in `tests/test_contracts.py` without a
line of test code; one of your own project does with `every(Sampler, "my_project.")`.
"""

from hush.testing.certify import Certificate, Row, certify
from hush.testing.chains import GaussianChain
from hush.testing.codecs import check_codec
from hush.testing.denoisers import check_parameterisation
from hush.testing.discovery import every
from hush.testing.guidance import check_guidance
from hush.testing.inverse import (
    FullGaussian,
    FullGaussianDenoiser,
    LinearGaussian,
    check_linear,
)
from hush.testing.kernels import check_kernel, check_token_process
from hush.testing.mixtures import GaussianMixture, MixtureDenoiser, flow_map
from hush.testing.noise import check_noise_law
from hush.testing.objectives import check_times, check_weight
from hush.testing.processes import check_process
from hush.testing.roundtrips import certify_parameterisation
from hush.testing.samplers import check_basis, check_sampler, even_levels
from hush.testing.schedules import check_grid, check_schedule
from hush.testing.subjects import Subject, Walk
from hush.testing.tokens import JointTable, TableDenoiser
from hush.testing.verdicts import Finding

__all__ = [
    "Certificate",
    "Finding",
    "FullGaussian",
    "FullGaussianDenoiser",
    "GaussianChain",
    "GaussianMixture",
    "JointTable",
    "LinearGaussian",
    "MixtureDenoiser",
    "Row",
    "Subject",
    "TableDenoiser",
    "Walk",
    "certify",
    "certify_parameterisation",
    "check_basis",
    "check_codec",
    "check_grid",
    "check_guidance",
    "check_kernel",
    "check_linear",
    "check_noise_law",
    "check_parameterisation",
    "check_process",
    "check_sampler",
    "check_schedule",
    "check_times",
    "check_token_process",
    "check_weight",
    "even_levels",
    "every",
    "flow_map",
]

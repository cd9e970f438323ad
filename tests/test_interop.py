"""Configurations of diffusers' schedulers: read, refused in plain words, and written back."""

import json
import subprocess
import sys

import pytest

from hush import guidance, samplers, schedules
from hush.denoisers import parameterisations
from hush.errors import UserError
from hush.interop.diffusers import from_diffusers, to_diffusers
from hush.interop.diffusers.chains import Bare
from hush.interop.diffusers.options import SCHEDULERS
from hush.samplers import bases, grids

FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}
STABLE_DIFFUSION = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,  # which PNDM takes no notice of
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
STEPPED = "use_clipped_model_output"
RETURNING = [
    ("DDPMScheduler", {"clip_sample_range": 2.0}),
    ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}),
    ("DDIMScheduler", {"timestep_spacing": "trailing", "eta": 0.3}),
    ("PNDMScheduler", {"timestep_spacing": "trailing", "set_alpha_to_one": True}),
    ("EulerDiscreteScheduler", {"use_karras_sigmas": True, "beta_schedule": "scaled_linear"}),
    ("EulerAncestralDiscreteScheduler", {"beta_schedule": "squaredcos_cap_v2"}),
    ("HeunDiscreteScheduler", {"use_beta_sigmas": True, "prediction_type": "v_prediction"}),
    ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "thresholding": True}),
    ("DPMSolverMultistepScheduler", {"solver_type": "heun", "euler_at_final": True, **FLOW}),
    ("DPMSolverSinglestepScheduler", {"solver_order": 3}),
    ("UniPCMultistepScheduler", {"solver_order": 3, "timestep_spacing": "trailing"}),
    ("UniPCMultistepScheduler", FLOW),
    ("DEISMultistepScheduler", {"trained_betas": [0.01] * 50, "num_train_timesteps": 50}),
    ("EDMEulerScheduler", {"sigma_data": 1.0}),
    ("EDMDPMSolverMultistepScheduler", {"sigma_schedule": "exponential", "sigma_max": 20.0}),
]


def test_what_stable_diffusion_ships():
    motion = from_diffusers(STABLE_DIFFUSION, 50)
    assert motion.schedule == schedules.Tabulated(schedules.quadratic_betas())
    assert motion.parameterisation == parameterisations.Noise()
    assert motion.sampler == samplers.Multistep(4, bases.Noise(), along="time", start="again")
    assert [round(1000 * t) for t in motion.grid.moments] == [*range(982, 0, -20), 1]
    assert motion.threshold is None


def test_a_flow_is_asked_as_diffusers_asks_it():
    motion = from_diffusers({"_class_name": "UniPCMultistepScheduler", **FLOW}, 4)
    assert motion.schedule == schedules.Rectified()
    assert motion.parameterisation == Bare(parameterisations.Velocity(), 1000)
    level = motion.schedule.level(0.25)
    skip, out, c_in, clock = motion.parameterisation(motion.schedule, level)
    assert (skip, out, c_in, clock) == (1.0, -0.25, 1.0, 250.0)  # x_0 = x - σ·network(x, 1000 σ)


def test_a_threshold_is_a_guidance():
    for name, options, held in [
        ("DDIMScheduler", {"clip_sample_range": 0.5}, guidance.Clip(-0.5, 0.5)),
        ("DDIMScheduler", {"thresholding": True}, guidance.Clip()),
        ("DDIMScheduler", {"clip_sample": False}, None),
        ("EulerDiscreteScheduler", {}, None),
    ]:
        assert from_diffusers({"_class_name": name, **options}, 10).threshold == held


@pytest.mark.parametrize(("name", "options"), RETURNING, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("steps", [10, 25])
def test_there_and_back(name, options, steps):
    """What is written is JSON, gives the same motion again, and where diffusers is here, loads and
    walks the same there."""
    motion = from_diffusers({"_class_name": name, **options}, steps)
    config = json.loads(json.dumps(to_diffusers(motion)))
    again = from_diffusers(config, steps)
    assert again.grid.moments == pytest.approx(motion.grid.moments, rel=1e-9, abs=1e-12)
    assert again._replace(grid=motion.grid) == motion
    pytest.importorskip("diffusers")
    from schedulers import apart

    arguments = {key: config.pop(key) for key in ("eta", STEPPED) if key in config}
    if STEPPED in arguments:
        arguments["eta"] = arguments.get("eta", 0.0)
    if "sde" not in config.get("algorithm_type", ""):
        assert apart(config.pop("_class_name"), steps, arguments=arguments, **config) < 1e-9


def test_what_diffusers_walks_otherwise_is_not_written():
    for name, options in [
        ("DDIMScheduler", {"timestep_spacing": "linspace"}),
        ("DPMSolverMultistepScheduler", {"solver_order": 3}),
        ("EulerDiscreteScheduler", {"s_churn": 4.0}),
    ]:
        with pytest.raises(UserError, match="has an equivalent of"):
            to_diffusers(from_diffusers({"_class_name": name, **options}, 7))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"schedule": schedules.Cosine()}, "schedule Cosine"),
        ({"parameterisation": parameterisations.Score()}, "Score"),
        ({"sampler": samplers.RungeKutta()}, "RungeKutta"),
        ({"grid": grids.LogSNR(10)}, "grid LogSNR"),
        ({"threshold": guidance.DynamicThreshold()}, "DynamicThreshold"),
    ],
)
def test_what_has_no_equivalent_is_named(change, named):
    motion = from_diffusers({"_class_name": "DPMSolverMultistepScheduler"}, 10)
    with pytest.raises(UserError, match=named):
        to_diffusers(motion._replace(**change))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"_class_name": "DDIMSchedular"}, "no scheduler 'DDIMSchedular'.*mean DDIMScheduler"),
        ({}, "_class_name"),
        ({"_class_name": "DDIMScheduler", "beta_strat": 1}, "'beta_strat'.*mean beta_start"),
        ({"_class_name": "DDIMScheduler", "beta_schedule": "linaer"}, "'linaer'.*mean linear"),
        ({"_class_name": "DDIMScheduler", "timestep_spacing": "log"}, "timestep_spacing = 'log'"),
        ({"_class_name": "DDIMScheduler", "trained_betas": [0.1]}, "1 entries.*is 1000: set"),
        ({"_class_name": "DDPMScheduler", "variance_type": "fixed_large_log"}, "mean fixed_large"),
        ({"_class_name": "DDPMScheduler", "prediction_type": "flow_prediction"}, "use_flow_sigmas"),
        ({"_class_name": "DDPMScheduler", "thresholding": True, "sample_max_value": 2}, "Dynamic"),
        ({"_class_name": "UniPCMultistepScheduler", "solver_type": "bh1"}, "take 'bh2'"),
        ({"_class_name": "UniPCMultistepScheduler", "solver_order": 4}, "1, 2 or 3, got 4"),
        ({"_class_name": "UniPCMultistepScheduler", "disable_corrector": [0]}, "at every step or"),
        ({"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver"}, "sde-"),
        ({"_class_name": "DPMSolverMultistepScheduler", "use_dynamic_shifting": True}, "False"),
        ({"_class_name": "EDMEulerScheduler", "prediction_type": "v_prediction"}, "epsilon"),
        ({"_class_name": "EulerDiscreteScheduler", "timestep_type": "continuous"}, "discrete"),
        (
            {
                "_class_name": "EulerDiscreteScheduler",
                "use_karras_sigmas": True,
                "sigma_max": 500.0,
            },
            "the chain ends at σ/α = 157",
        ),
        (
            {
                "_class_name": "EulerDiscreteScheduler",
                "use_karras_sigmas": True,
                "use_beta_sigmas": True,
            },
            "leave that or use_beta_sigmas out",
        ),
    ],
    ids=lambda value: str(list(value.items())[-1:]) if isinstance(value, dict) else "",
)
def test_what_cannot_be_read_is_said(config, words):
    with pytest.raises(UserError, match=words):
        from_diffusers(config, 10)


def test_no_steps():
    with pytest.raises(UserError, match="at least 1 step, got 0"):
        from_diffusers({"_class_name": "DDIMScheduler"}, 0)


@pytest.mark.parametrize(
    "name", sorted(set(SCHEDULERS) - {"DPMSolverSDEScheduler"})
)  # test_interop_sde
def test_the_options_and_their_defaults_are_theirs(name):
    """Every option of a scheduler is known, with the default it has there."""
    diffusers = pytest.importorskip("diffusers")
    theirs = {k: v for k, v in getattr(diffusers, name)().config.items() if k[0] != "_"}
    own = ("eta", STEPPED, "s_churn", "s_tmin", "s_tmax", "s_noise")  # arguments of their step
    known = {k: v for k, v in SCHEDULERS[name].items() if k not in own}
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in theirs.items()}
    assert known == plain


def test_diffusers_is_not_imported():
    code = "import hush.interop.diffusers, sys; sys.exit('diffusers' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

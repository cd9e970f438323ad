"""hush walks as the schedulers of diffusers do, to rounding, wherever those keep their own laws.

Both ask the same exact denoiser, diffusers at the σ it claims to stand at; both in double
precision, see schedulers.py. Where they part is the matter of test_interop_laws.py.
"""

from itertools import product

import pytest

pytest.importorskip("diffusers")

from schedulers import apart

STEPS = (5, 10, 15, 20, 25, 50)
FEW = (5, 14, 15)  # below 15 the last orders are lower
SPACINGS = ("leading", "trailing", "linspace")
OWN_SPACINGS = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
DPM, SINGLE = "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"
UNIPC, DEIS, EDM = (
    "UniPCMultistepScheduler",
    "DEISMultistepScheduler",
    "EDMDPMSolverMultistepScheduler",
)
EULER, HEUN = "EulerDiscreteScheduler", "HeunDiscreteScheduler"
SPACED = (EULER, HEUN, "EulerAncestralDiscreteScheduler", DPM, UNIPC, DEIS)
TOLERANCE = 1e-9


def agree(name, steps=FEW, **options):
    off = {count: apart(name, count, **dict(options)) for count in steps}
    assert max(off.values()) < TOLERANCE, off


@pytest.mark.parametrize("name", [*SPACED, SINGLE, EDM, "EDMEulerScheduler", "PNDMScheduler"])
def test_to_1e_5_of_diffusers_as_it_is(name):
    """With its tables and states in single precision; so do DDPM and DDIM in test_diffusers.py."""
    assert max(apart(name, steps, double=False) for steps in (10, 25)) < 1e-5


@pytest.mark.parametrize("name", SPACED)
@pytest.mark.parametrize("spacing", SPACINGS)
def test_every_spacing_of_timesteps(name, spacing):
    agree(name, STEPS, timestep_spacing=spacing)
    if spacing == "leading":
        agree(name, STEPS, timestep_spacing=spacing, steps_offset=1)


@pytest.mark.parametrize("name", [EULER, HEUN, DPM, SINGLE, UNIPC, DEIS])
@pytest.mark.parametrize("spacing", OWN_SPACINGS)
def test_every_spacing_of_sigma(name, spacing):
    agree(name, STEPS, **{spacing: True})


@pytest.mark.parametrize("spacing", SPACINGS)
def test_ddpm(spacing):
    for kind, clip in product(("fixed_small", "fixed_small_log"), (True, False)):
        agree("DDPMScheduler", timestep_spacing=spacing, variance_type=kind, clip_sample=clip)


@pytest.mark.parametrize(("spacing", "steps"), [("leading", STEPS), ("trailing", (5, 20, 50))])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim(spacing, steps, eta):
    for to_data, offset in product((True, False), (0, 1) if spacing == "leading" else (0,)):
        chosen = {"set_alpha_to_one": to_data, "steps_offset": offset, "timestep_spacing": spacing}
        agree("DDIMScheduler", steps, clip_sample=False, arguments={"eta": eta}, **chosen)


def test_ddim_with_its_noise_following_what_is_clipped():
    agree("DDIMScheduler", clip_sample_range=0.7, arguments={"use_clipped_model_output": True})


@pytest.mark.parametrize("skip", [True, False])
def test_pndm_where_its_steps_are_even(skip):
    agree("PNDMScheduler", (5, 15, 25), skip_prk_steps=skip)
    even = {"timestep_spacing": "trailing", "set_alpha_to_one": True}
    agree("PNDMScheduler", (5, 10, 20, 50), skip_prk_steps=skip, **even)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("rule", ["midpoint", "heun"])
def test_dpm_solver_multistep(order, rule):
    for kind, lower, euler in product(("dpmsolver++", "dpmsolver"), (True, False), (True, False)):
        ends = ("sigma_min",) if kind == "dpmsolver" else ("zero", "sigma_min")
        for end in ends:
            agree(
                DPM,
                solver_order=order,
                solver_type=rule,
                algorithm_type=kind,
                lower_order_final=lower,
                euler_at_final=euler,
                final_sigmas_type=end,
            )


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("rule", ["midpoint", "heun"])
def test_dpm_solver_with_noise(order, rule):
    """Both are fed the increments of hush's path, normalised."""
    agree(DPM, (15,), solver_order=order, solver_type=rule, algorithm_type="sde-dpmsolver++")


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("rule", ["midpoint", "heun"])
def test_dpm_solver_singlestep(order, rule):
    for lower, end in product((True, False), ("zero", "sigma_min")):
        chosen = {"lower_order_final": lower, "final_sigmas_type": end, "solver_type": rule}
        agree(SINGLE, solver_order=order, **chosen)
    agree(SINGLE, solver_order=order, algorithm_type="dpmsolver", **chosen)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc(order):
    agree(UNIPC, solver_order=order)
    agree(UNIPC, solver_order=order, predict_x0=False, final_sigmas_type="sigma_min")
    agree(UNIPC, solver_order=order, use_karras_sigmas=True, final_sigmas_type="sigma_min")
    for data in (True, False):
        chosen = {"predict_x0": data, "lower_order_final": False, "final_sigmas_type": "sigma_min"}
        agree(UNIPC, solver_order=order, **chosen)
        if order < 3:
            agree(UNIPC, solver_order=order, disable_corrector=list(range(50)), **chosen)


@pytest.mark.parametrize("order", [1, 2])
def test_deis(order):
    for lower in (True, False):
        agree(DEIS, solver_order=order, lower_order_final=lower)


@pytest.mark.parametrize("spacing", ["karras", "exponential"])
def test_edm(spacing):
    for end in ("zero", "sigma_min"):
        chosen = {"sigma_schedule": spacing, "final_sigmas_type": end}
        agree("EDMEulerScheduler", **chosen, sigma_data=0.7, sigma_max=20.0, rho=5.0)
        for order, rule in product((1, 2), ("midpoint", "heun")):
            agree(EDM, **chosen, solver_order=order, solver_type=rule)
    agree(EDM, (5,), sigma_schedule=spacing, algorithm_type="sde-dpmsolver++")


@pytest.mark.parametrize("name", [DPM, UNIPC, DEIS, SINGLE])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flows(name, shift):
    flow = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": shift}
    agree(name, **flow)
    if name == UNIPC:
        agree(name, **flow, shift_terminal=0.1)
        agree(name, **flow, use_karras_sigmas=True)


@pytest.mark.parametrize("name", [EULER, DPM, UNIPC, "DDPMScheduler"])
@pytest.mark.parametrize("meaning", ["epsilon", "sample", "v_prediction"])
def test_every_meaning_of_the_networks_output_on_every_chain(name, meaning):
    for chain in ("linear", "scaled_linear", "squaredcos_cap_v2"):
        agree(name, (20,), prediction_type=meaning, beta_schedule=chain, num_train_timesteps=500)
    betas = [0.001 + 0.0001 * k for k in range(100)]
    agree(name, (20,), prediction_type=meaning, trained_betas=betas, num_train_timesteps=100)


@pytest.mark.parametrize("name", [EULER, DPM, UNIPC, "DDIMScheduler"])
def test_a_chain_that_ends_without_signal(name):
    end = {"timestep_spacing": "trailing", "rescale_betas_zero_snr": True}
    options = {"clip_sample": False} if name == "DDIMScheduler" else {}
    agree(name, (5, 10, 20, 25), prediction_type="v_prediction", **end, **options)


def test_options_of_one_scheduler_alone():
    agree(HEUN, clip_sample=True, clip_sample_range=0.7, beta_schedule="exp")
    agree("DDPMScheduler", beta_schedule="laplace", clip_sample=False)
    agree("DDPMScheduler", beta_schedule="sigmoid", thresholding=True, timestep_spacing="linspace")
    agree(EULER, interpolation_type="log_linear")
    agree(EULER, final_sigmas_type="sigma_min", timestep_spacing="trailing")
    agree(EULER, use_karras_sigmas=True, sigma_min=0.1, sigma_max=20.0)
    agree(DPM, use_lu_lambdas=True, thresholding=True)
    for spacing in SPACINGS:
        clipped = {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1}
        agree(DPM, timestep_spacing=spacing, **clipped)
    agree(SINGLE, **clipped)

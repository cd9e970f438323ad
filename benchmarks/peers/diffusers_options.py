"""What each scheduler of diffusers lets its user choose."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product

from peers.diffusers_walk import ANGLE, EDM, FLOW, SCALED, SIGMA, STEP, Kind, Options
from peers.settings import TooFew

SPACINGS: dict[str, Options] = {
    "linspace": {"timestep_spacing": "linspace"},
    "leading": {"timestep_spacing": "leading"},
    "trailing": {"timestep_spacing": "trailing"},
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "beta": {"use_beta_sigmas": True},
}
Choices = list[tuple[str, Options]]
LOWER: Choices = [("", {}), ("lower_order_final=False", {"lower_order_final": False})]
ENDS: Choices = [
    ("to zero", {"final_sigmas_type": "zero"}),
    ("to sigma_min", {"final_sigmas_type": "sigma_min"}),
]
SPACED: Choices = list(SPACINGS.items())


def crossed(*choices: Choices) -> Choices:
    """Every combination, its words joined."""
    out = []
    for combination in product(*choices):
        words = ", ".join(word for word, _ in combination if word)
        out.append((words, {k: v for _, options in combination for k, v in options.items()}))
    return out


RESPACED = [*crossed(SPACED[:3], SPACED[3:5]), SPACED[5]]  # between the ends of another spacing
SHIFTS = (0.2, 0.35, 0.5, 0.7, 1.0, 1.5, 3.0)


def orders(name: str, *values: int) -> Choices:
    """One choice of an order."""
    return [(f"{name}={value}", {name: value}) for value in values]


def _one(evaluations: int) -> int:
    return evaluations


def _two(evaluations: int) -> int:
    return (evaluations + 1) // 2


def _prk(evaluations: int) -> int:
    if evaluations < 13:
        raise TooFew  # three steps of four evaluations, and one more
    return evaluations - 9


@dataclass(frozen=True)
class Family:
    """One scheduler: the kind of state it walks, how many steps its evaluations are, what is always
    set, what is chosen, and what its step is told."""

    name: str
    kind: Kind
    choices: Choices
    count: Callable[[int], int] = _one
    always: Options = field(default_factory=dict)
    spends: Options = field(default_factory=dict)


def families(problem: str) -> Iterator[Family]:
    """Those that can walk the problem."""
    if problem == "rectified flow":
        yield from straight()
        return
    yield from one_evaluation(problem)
    yield from multistep(problem)
    yield from two_evaluations()
    if problem == "EDM":
        yield from preconditioned()


def one_evaluation(problem: str) -> Iterator[Family]:
    plain: Choices = SPACED[:3]
    unclipped = {"clip_sample": False}
    yield Family("DDIMScheduler", STEP, [("defaults", {}), *plain], always=unclipped)
    past = [("", {}), ("set_alpha_to_one", {"set_alpha_to_one": True})]
    skipped = {"skip_prk_steps": True}
    yield Family("PNDMScheduler", STEP, crossed(plain, past), lambda n: n - 1, skipped)
    yield Family("PNDMScheduler", STEP, crossed(plain, past), _prk)
    sigmas = [*plain, *RESPACED]
    logs = [("", {}), ("log_linear", {"interpolation_type": "log_linear"})]
    yield Family("EulerDiscreteScheduler", SCALED, crossed(sigmas, ENDS, logs))
    for order in (2, 3, 4):
        words = [(f"order={order}", {})]
        lms = crossed(words, sigmas)
        yield Family("LMSDiscreteScheduler", SCALED, lms, spends={"order": order})
    if problem == "cosine":
        yield Family("IPNDMScheduler", ANGLE, [("defaults", {})])


def two_evaluations() -> Iterator[Family]:
    sigmas = [*SPACED[:3], *RESPACED]
    for name in ("HeunDiscreteScheduler", "KDPM2DiscreteScheduler"):
        yield Family(name, SCALED, sigmas, _two)


def multistep(problem: str) -> Iterator[Family]:
    lu = [*SPACED, ("lu_lambdas", {"use_lu_lambdas": True})]
    kinds = [(word, {"solver_type": word}) for word in ("midpoint", "heun")]
    solver = [("solver_order=1", {"solver_order": 1}), ("solver_order=3", {"solver_order": 3})]
    solver += crossed([("solver_order=2", {"solver_order": 2})], kinds)
    noise = [("dpmsolver", {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"})]
    data = crossed([("dpmsolver++", {})], ENDS)
    last = [("", {}), ("euler_at_final", {"euler_at_final": True}), *LOWER[1:]]
    clips: Choices = [("", {})]
    if problem == "cosine":
        clips.append(("lambda_min_clipped=-5.1", {"lambda_min_clipped": -5.1}))
    dpm = crossed([*data, *noise], solver, lu, last, clips)
    yield Family("DPMSolverMultistepScheduler", SIGMA, [("defaults", {}), *dpm])
    single = crossed([*data, *noise], solver, [("linspace", {}), *SPACED[3:]], LOWER, clips)
    yield Family("DPMSolverSinglestepScheduler", SIGMA, [("defaults", {}), *single])
    deis = crossed(orders("solver_order", 1, 2, 3), SPACED, LOWER)
    yield Family("DEISMultistepScheduler", SIGMA, [("defaults", {}), *deis])
    bh = [(word, {"solver_type": word}) for word in ("bh1", "bh2")]
    says = [("", {}), ("predict noise", {"predict_x0": False})]
    uni = crossed(orders("solver_order", 1, 2, 3), bh, says, SPACED, ENDS, LOWER)
    yield Family("UniPCMultistepScheduler", SIGMA, [("defaults", {}), *uni])
    pairs = crossed(orders("predictor_order", 2, 3, 4), orders("corrector_order", 2, 3, 4))
    kinds = [(word, {"algorithm_type": word}) for word in ("data_prediction", "noise_prediction")]
    still = {"tau_func": lambda t: 0}
    sa = crossed(pairs, kinds, SPACED)
    yield Family("SASolverScheduler", SIGMA, sa, always=still)


def preconditioned() -> Iterator[Family]:
    grids = [
        (f"karras rho={rho:g} {low:g}", {"sigma_schedule": "karras", "rho": rho, "sigma_min": low})
        for rho, low in product((3.0, 5.0, 7.0), (0.002, 0.01, 0.03))
    ]
    grids += [
        (f"exponential {low:g}", {"sigma_schedule": "exponential", "sigma_min": low})
        for low in (0.002, 0.01, 0.03)
    ]
    yield Family("EDMEulerScheduler", EDM, [("defaults", {}), *crossed(grids, ENDS)])
    kinds = [(word, {"solver_type": word}) for word in ("midpoint", "heun")]
    last = [("", {}), ("euler_at_final", {"euler_at_final": True}), *LOWER[1:]]
    solver = crossed(orders("solver_order", 1, 2, 3), kinds)
    dpm = crossed(solver, grids, ENDS, last)
    yield Family("EDMDPMSolverMultistepScheduler", EDM, [("defaults", {}), *dpm])


def straight() -> Iterator[Family]:
    shifts = [(f"shift={shift:g}", {"shift": shift}) for shift in SHIFTS]
    ends = [("", {}), *[(f"shift_terminal={x:g}", {"shift_terminal": x}) for x in (0.02, 0.1)]]
    euler = crossed(shifts, ends, [("", {}), *SPACED[3:]])
    name = "FlowMatchEulerDiscreteScheduler"
    yield Family(name, FLOW, [("defaults", {}), *euler])
    name = "FlowMatchHeunDiscreteScheduler"
    yield Family(name, FLOW, [("defaults", {}), *shifts], _two)
    flow = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
    shifts = [(f"flow_shift={s:g}", {"flow_shift": s}) for s in SHIFTS]
    kinds = [(word, {"solver_type": word}) for word in ("midpoint", "heun")]
    solver = crossed(orders("solver_order", 1, 2, 3), kinds)
    dpm = crossed(solver, shifts, ENDS, LOWER)
    yield Family("DPMSolverMultistepScheduler", FLOW, dpm, always=flow)
    yield Family("DPMSolverSinglestepScheduler", FLOW, dpm, always=flow)
    deis = crossed(orders("solver_order", 1, 2, 3), shifts, LOWER)
    yield Family("DEISMultistepScheduler", FLOW, deis, always=flow)
    bh = [(word, {"solver_type": word}) for word in ("bh1", "bh2")]
    stop = [("", {}), *[(f"shift_terminal={x:g}", {"shift_terminal": x}) for x in (0.02, 0.1)]]
    karras = [("karras", SPACINGS["karras"]), ("exponential", SPACINGS["exponential"])]
    uni = crossed(
        orders("solver_order", 1, 2, 3), bh, [*crossed(shifts, stop), *karras], ENDS, LOWER
    )
    yield Family("UniPCMultistepScheduler", FLOW, uni, always=flow)

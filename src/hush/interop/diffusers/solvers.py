"""The sampler that a scheduler is."""

from collections.abc import Callable, Mapping

from hush.denoisers.variances import Zero
from hush.errors import UserError
from hush.interop.diffusers.chains import VARIANCES
from hush.interop.diffusers.options import Options
from hush.samplers import Ancestral, Heun, Multistep, RungeKutta, Sampler
from hush.samplers.bases import Basis, Data, Noise
from hush.samplers.churn import Churn
from hush.samplers.singlestep import SingleStep

RULES = {"midpoint": "midpoint", "heun": "exact"}
RULES |= dict.fromkeys(("logrho", "bh1", "bh2"), "midpoint")  # as they read each other's
BASES: Mapping[str, Basis] = {
    "dpmsolver": Noise(),
    "dpmsolver++": Data(),
    "deis": Data(),
    "sde-dpmsolver++": Data(tau=1.0),
}
SHORT = 15  # walks of fewer steps end with lower orders, if told to


def sampler(options: Options, steps: int) -> Sampler:
    """The sampler of a walk of so many steps."""
    return SOLVERS[options.name](options, steps)


def _ddpm(options: Options, steps: int) -> Sampler:
    return Ancestral(1.0, settle=options.one_of("variance_type", VARIANCES) != Zero())


def _ddim(options: Options, steps: int) -> Sampler:
    return Ancestral(options["eta"])


def _euler(options: Options, steps: int) -> Sampler:
    options.one_of("timestep_type", dict.fromkeys(("discrete",)))
    churn, noise = options["s_churn"], options["s_noise"]
    low, high = options["s_tmin"], options["s_tmax"]
    return Churn(Ancestral(0.0), churn, low, high, noise) if churn else Ancestral(0.0)


def _euler_ancestral(options: Options, steps: int) -> Sampler:
    return Ancestral(1.0)


def _heun(options: Options, steps: int) -> Sampler:
    return Heun(Noise())


def _pndm(options: Options, steps: int) -> Sampler:
    start = "again" if options["skip_prk_steps"] else "runge_kutta"
    return Multistep(4, Noise(), along="time", start=start)


def _dpm_sde(options: Options, steps: int) -> Sampler:
    options.ignore("noise_sampler_seed")  # hush seeds each sample
    return RungeKutta(2, Data(tau=1.0), along="log_snr")


def _dpm_multistep(options: Options, steps: int) -> Sampler:
    order, basis = _order(options), options.one_of("algorithm_type", BASES)
    rule = options.one_of("solver_type", RULES)
    lower = options["lower_order_final"] and steps < SHORT
    euler, to_data = options["euler_at_final"], options["final_sigmas_type"] == "zero"
    _means_only(options)
    tail = _tail(order, lower or euler or to_data, lower)
    return Multistep(order, basis, along="log_snr", rule=rule, start="lower", tail=tail)


def _dpm_singlestep(options: Options, steps: int) -> Sampler:
    order, basis = _order(options), options.one_of("algorithm_type", BASES)
    if basis.tau and order > 1:
        raise options.refuse("algorithm_type", "take order 1, or DPMSolverMultistepScheduler.")
    rule = options.one_of("solver_type", RULES)
    _means_only(options)
    to_data = options["final_sigmas_type"] == "zero"
    if order == 1:
        options.ignore("lower_order_final")
        return Multistep(1, basis, along="log_snr", rule=rule)
    lower = options["lower_order_final"]
    whole = not (lower or steps % order or to_data)
    blocks = () if whole else _blocks(order, steps, to_data)
    return SingleStep(order, basis, "log_snr", rule, blocks)


def _deis(options: Options, steps: int) -> Sampler:
    order = _order(options)
    options.ignore("algorithm_type", "solver_type")  # it takes others' words for its own
    lower = options["lower_order_final"] and steps < SHORT
    tail = _tail(order, lower, lower)
    return Multistep(order, Noise(), along="log_snr", start="lower", tail=tail)


def _unipc(options: Options, steps: int) -> Sampler:
    order, basis = _order(options), Data() if options["predict_x0"] else Noise()
    if options["solver_type"] == "bh1":
        raise options.refuse("solver_type", "take 'bh2', of the same order.")
    options.one_of("solver_type", RULES)
    if options["solver_p"] is not None:
        raise options.refuse("solver_p", "leave it None.")
    off = set(options["disable_corrector"]) & set(range(steps - 1))
    if off and len(off) < steps - 1:
        raise options.refuse("disable_corrector", "the corrector is on at every step or at none.")
    corrector = 0 if off else order + 1
    tail = tuple(range(order - 1, 0, -1)) if options["lower_order_final"] else ()
    return Multistep(order, basis, corrector, "log_snr", "midpoint", "lower", tail)


def _order(options: Options) -> int:
    order = options["solver_order"]
    if order not in (1, 2, 3):
        raise UserError(f"solver_order of {options.name} is 1, 2 or 3, got {order!r}.")
    return order


def _means_only(options: Options) -> None:
    """Learned variances are cut off by these solvers; a network of hush has none to cut."""
    if options["variance_type"] is not None and "variance_type" in options.known:
        raise options.refuse("variance_type", "give the network's mean alone, and leave it None.")


def _tail(order: int, last: bool, lower: bool) -> tuple[int, ...]:
    """The orders of the last steps: 1 of the `last`, where `lower` with 2 before it."""
    whole = (2, 1) if lower and order > 2 else (1,)
    return whole if last and order > 1 else ()


def _blocks(order: int, steps: int, to_data: bool) -> tuple[int, ...]:
    """The lengths of a single-step solver's last blocks; a last one to the data takes one step."""
    if order == 2:
        return (1,) if steps % 2 else (1, 1)
    if steps % 3 == 2:
        return (1, 1) if to_data else (2,)
    return (1,) if steps % 3 else (2, 1)


SOLVERS: Mapping[str, Callable[[Options, int], Sampler]] = {
    "DDPMScheduler": _ddpm,
    "DDIMScheduler": _ddim,
    "PNDMScheduler": _pndm,
    "EulerDiscreteScheduler": _euler,
    "EulerAncestralDiscreteScheduler": _euler_ancestral,
    "HeunDiscreteScheduler": _heun,
    "DPMSolverSDEScheduler": _dpm_sde,
    "DPMSolverMultistepScheduler": _dpm_multistep,
    "DPMSolverSinglestepScheduler": _dpm_singlestep,
    "UniPCMultistepScheduler": _unipc,
    "DEISMultistepScheduler": _deis,
    "EDMEulerScheduler": _euler,
    "EDMDPMSolverMultistepScheduler": _dpm_multistep,
}

"""What the schedulers' options are called, what they are unless said, and how they are read."""

import math
from collections.abc import Mapping
from typing import Any

from hush.errors import UserError, nearest

Config = Mapping[str, Any]

CHAIN: Config = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "prediction_type": "epsilon",
}
SPACING: Config = {"timestep_spacing": "linspace", "steps_offset": 0}
SIGMAS: Config = {
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
}
FLOW: Config = {
    "use_flow_sigmas": False,
    "flow_shift": 1.0,
    "use_dynamic_shifting": False,
    "time_shift_type": "exponential",
}
CLIP: Config = {"clip_sample": False, "clip_sample_range": 1.0}
THRESHOLD: Config = {
    "thresholding": False,
    "dynamic_thresholding_ratio": 0.995,
    "sample_max_value": 1.0,
}
CHURN: Config = {"s_churn": 0.0, "s_tmin": 0.0, "s_tmax": math.inf, "s_noise": 1.0}
DPM: Config = {
    "solver_order": 2,
    "algorithm_type": "dpmsolver++",
    "solver_type": "midpoint",
    "lower_order_final": True,
    "final_sigmas_type": "zero",
}
FLOAT_SPACED: Config = CHAIN | SPACING | SIGMAS
EDM: Config = {
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "sigma_min": 0.002,
    "sigma_max": 80.0,
    "sigma_data": 0.5,
    "sigma_schedule": "karras",
    "rho": 7.0,
    "final_sigmas_type": "zero",
}
SCHEDULERS: Mapping[str, Config] = {
    "DDPMScheduler": CHAIN
    | SPACING
    | THRESHOLD
    | {
        "timestep_spacing": "leading",
        "clip_sample": True,
        "clip_sample_range": 1.0,
        "variance_type": "fixed_small",
        "rescale_betas_zero_snr": False,
    },
    "DDIMScheduler": CHAIN
    | SPACING
    | THRESHOLD
    | {
        "timestep_spacing": "leading",
        "clip_sample": True,
        "clip_sample_range": 1.0,
        "set_alpha_to_one": True,
        "rescale_betas_zero_snr": False,
        "eta": 0.0,
        "use_clipped_model_output": False,
    },
    "PNDMScheduler": CHAIN
    | SPACING
    | {"timestep_spacing": "leading", "set_alpha_to_one": False, "skip_prk_steps": False},
    "EulerDiscreteScheduler": FLOAT_SPACED
    | {
        "interpolation_type": "linear",
        "sigma_min": None,
        "sigma_max": None,
        "timestep_type": "discrete",
        "rescale_betas_zero_snr": False,
        "final_sigmas_type": "zero",
    }
    | CHURN,
    "EulerAncestralDiscreteScheduler": CHAIN | SPACING | {"rescale_betas_zero_snr": False},
    "HeunDiscreteScheduler": FLOAT_SPACED | CLIP | {"beta_start": 0.00085, "beta_end": 0.012},
    "DPMSolverSDEScheduler": FLOAT_SPACED
    | {"beta_start": 0.00085, "beta_end": 0.012, "noise_sampler_seed": None},
    "DPMSolverMultistepScheduler": FLOAT_SPACED
    | FLOW
    | THRESHOLD
    | DPM
    | {
        "euler_at_final": False,
        "use_lu_lambdas": False,
        "lambda_min_clipped": -math.inf,
        "variance_type": None,
        "rescale_betas_zero_snr": False,
    },
    "DPMSolverSinglestepScheduler": CHAIN
    | SIGMAS
    | FLOW
    | THRESHOLD
    | DPM
    | {"lower_order_final": False, "lambda_min_clipped": -math.inf, "variance_type": None},
    "UniPCMultistepScheduler": FLOAT_SPACED
    | FLOW
    | THRESHOLD
    | {
        "solver_order": 2,
        "predict_x0": True,
        "solver_type": "bh2",
        "lower_order_final": True,
        "disable_corrector": (),
        "solver_p": None,
        "final_sigmas_type": "zero",
        "rescale_betas_zero_snr": False,
        "sigma_min": None,
        "sigma_max": None,
        "shift_terminal": None,
    },
    "DEISMultistepScheduler": FLOAT_SPACED
    | FLOW
    | THRESHOLD
    | {
        "solver_order": 2,
        "algorithm_type": "deis",
        "solver_type": "logrho",
        "lower_order_final": True,
    },
    "EDMEulerScheduler": EDM | CHURN,
    "EDMDPMSolverMultistepScheduler": EDM | THRESHOLD | DPM | {"euler_at_final": False},
}
EVERY: Config = {key: value for known in SCHEDULERS.values() for key, value in known.items()}
OFF: Config = (
    EVERY
    | FLOW
    | SIGMAS
    | CLIP
    | THRESHOLD
    | SPACING
    | {
        "rescale_betas_zero_snr": False,
        "sigma_min": None,
        "sigma_max": None,
        "set_alpha_to_one": True,
    }
)


class Options:
    """A configuration being read: what it says, else what its scheduler takes, else what changes
    nothing. Remembers what was read, so that `finish` can refuse what was not."""

    def __init__(self, config: Config) -> None:
        self.name = str(config.get("_class_name", ""))
        if self.name not in SCHEDULERS:
            raise UserError(
                f"hush knows no scheduler {self.name!r} of diffusers (the key _class_name): "
                f"{nearest(self.name, SCHEDULERS)}"
            )
        given = {key: value for key, value in config.items() if not key.startswith("_")}
        if unknown := sorted(set(given) - set(EVERY)):
            raise UserError(
                f"No scheduler of diffusers that hush knows has the option {unknown[0]!r}: "
                f"{nearest(unknown[0], EVERY)}"
            )
        self.known = SCHEDULERS[self.name]  # what another scheduler takes changes nothing here
        self.given = {key: _plain(value) for key, value in given.items() if key in self.known}
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return self.given.get(key, self.known.get(key, OFF[key]))

    def one_of(self, key: str, known: Mapping[str, Any]) -> Any:
        """What a table has for the option's value."""
        value = self[key]
        if value not in known:
            raise UserError(
                f"hush has no equivalent of {key} = {value!r} of {self.name}: "
                f"{nearest(str(value), known)}"
            )
        return known[value]

    def ignore(self, *keys: str) -> None:
        """Count options as read that change nothing beside the others."""
        self.read.update(keys)

    def refuse(self, key: str, why: str) -> UserError:
        """The error for an option that has no equivalent."""
        return UserError(f"hush has no equivalent of {key} = {self[key]!r} of {self.name}: {why}")

    def finish(self) -> None:
        """Raise `UserError` for an option that nobody read and that is not its default."""
        for key in sorted(set(self.given) - self.read):
            if self.given[key] != self.known[key]:
                raise self.refuse(key, f"leave it at {self.known[key]!r}.")


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

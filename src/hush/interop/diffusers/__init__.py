"""Schedulers of diffusers, as their configurations say them, to what hush walks with, and back.

    config = json.loads(Path("scheduler/scheduler_config.json").read_text())
    schedule, parameterisation, sampler, grid, threshold = from_diffusers(config, steps=25)

Nothing of diffusers is imported: a configuration is a plain dictionary.

    options ──► chains ──► schedule, parameterisation, threshold ──┐
       │──────► spacings ─► grid ──────────────────────────────────┤──► Motion
       └──────► solvers ──► sampler ───────────────────────────────┘
"""

from hush.interop.diffusers.export import to_diffusers
from hush.interop.diffusers.motion import Motion, from_diffusers

__all__ = ["Motion", "from_diffusers", "to_diffusers"]

"""diffusers: its schedulers, networks and pipelines to what hush has, and back.

    config = json.loads(Path("scheduler/scheduler_config.json").read_text())
    schedule, parameterisation, sampler, grid, threshold = from_diffusers(config, steps=25)

    system = load_pipeline("ddpm-cifar10-32")
    export_pipeline(hush.load("runs/photos"), "photos-diffusers")

Nothing of diffusers is imported: a configuration is a plain dictionary.

    options ──► chains ──► schedule, parameterisation, threshold ──┐
       │──────► spacings ─► grid ──────────────────────────────────┤──► Motion ──┐
       └──────► solvers ──► sampler ───────────────────────────────┘             │──► pipelines
    configs ──► networks ─► U-Net ───────────────────────────────────────────────┘
"""

from hush.interop.diffusers.export import to_diffusers
from hush.interop.diffusers.motion import Motion, from_diffusers
from hush.interop.diffusers.networks import unet_from_diffusers, unet_to_diffusers
from hush.interop.diffusers.pipelines import export_pipeline, load_pipeline

__all__ = [
    "Motion",
    "export_pipeline",
    "from_diffusers",
    "load_pipeline",
    "to_diffusers",
    "unet_from_diffusers",
    "unet_to_diffusers",
]

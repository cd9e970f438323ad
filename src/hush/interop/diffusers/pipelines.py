"""Pipelines of diffusers that draw pictures from noise, as systems, and back.

unet/ ───────► network ─┐
scheduler/ ──► Motion ──┴─► System ─► Motion, network ─► unet/, scheduler/
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from hush.codecs import Affine, Range
from hush.denoisers import GaussianDenoiser
from hush.denoisers.variances import Zero
from hush.errors import UserError, nearest
from hush.interop.diffusers.configs import DEFAULTS
from hush.interop.diffusers.export import to_diffusers
from hush.interop.diffusers.folders import CONFIG, Folder
from hush.interop.diffusers.motion import Motion, from_diffusers
from hush.interop.diffusers.networks import unet_from_diffusers, unet_to_diffusers
from hush.networks import UNet
from hush.noise import White
from hush.objectives import Denoising
from hush.processes import GaussianProcess
from hush.samplers import Ancestral
from hush.samplers.grids import Chain, Grid
from hush.schedules import Tabulated
from hush.system import Recipe, System
from hush.tasks import Generate

PIPELINES = {"ddpm": ("DDPMPipeline", 1.0), "ddim": ("DDIMPipeline", 0.0)}  # and their eta
STEPS = 50  # of a walk that need not take every step of its chain
NEAR = 0.01  # how far a codec's middle and reach may be from theirs, which are 1/2
CALLED = ("eta", "use_clipped_model_output")  # what their pipelines are told with each call


def load_pipeline(
    folder: str | os.PathLike[str], steps: int | None = None, classes: Sequence[str] = ()
) -> System:
    """The system of a folder that `DDPMPipeline`, or another of a `UNet2DModel` and a scheduler,
    wrote: `load_pipeline(folder).sample(16)` draws as the pipeline does.

    Pictures in [0, 1] are x_0 in [-1, 1]. Where beliefs are clipped the noise follows them, as with
    DDIMPipeline's `use_clipped_model_output=True`.

    Args:
        folder: of model_index.json.
        steps: of the walk; by default all of DDPM's chain, and 50 of others.
        classes: names of the network's classes, one fewer than it has if its last is "no class"; by
            default their numbers.

    Raises:
        UserError: a file is missing or damaged, or a pickle; what hush has no equivalent of.
    """
    found = Folder.read(Path(folder))
    config = {**DEFAULTS, **found.config}
    known = config["num_class_embeds"] or 0
    names = tuple(classes) or tuple(map(str, range(known)))
    if len(names) not in (known, known - 1):
        raise UserError(f"{len(names)} classes were named, the network has {known}.")
    network = unet_from_diffusers(found.config, found.state, absent=len(names) < known)
    length = found.scheduler.get("num_train_timesteps", 1000)
    whole = found.scheduler.get("_class_name") == "DDPMScheduler"
    motion = from_diffusers(found.scheduler, steps or (length if whole else min(STEPS, length)))
    process = GaussianProcess(motion.schedule)
    return System(
        codec=Range().fit([torch.tensor([0.0, 1.0])]),
        denoiser=GaussianDenoiser(process, network, motion.parameterisation, motion.variance),
        objective=Denoising(),
        sampler=motion.sampler,
        grid=_resizable(motion),
        task=Generate(_shape(config, motion, Path(folder)), names),
        recipe=Recipe(),
        threshold=motion.threshold,
        name=str(found.index.get("_class_name", "pipeline")),
        cite=motion.sampler.cite,
        arguments={"folder": str(folder), "steps": steps, "classes": tuple(classes)},
    )


def _resizable(motion: Motion) -> Grid:
    """The motion's grid as one of hush's that other numbers of steps can be asked of, if it is."""
    if isinstance(motion.schedule, Tabulated):
        for spacing in ("trailing", "leading", "linspace"):
            grid = Chain(motion.grid.steps, spacing)
            if tuple(grid.times(motion.schedule).tolist()) == motion.grid.moments:
                return grid
    return motion.grid


def _shape(config: dict[str, Any], motion: Motion, folder: Path) -> tuple[int, ...]:
    size, channels = config["sample_size"], config["in_channels"]
    if size is None or config["out_channels"] != channels * (1 + motion.variance.heads):
        raise UserError(
            f"{folder / CONFIG} has sample_size = {size}, in_channels = {channels} and "
            f"out_channels = {config['out_channels']}: a pipeline needs a size, and as many "
            "channels out as in, or twice as many where variance_type is learned_range."
        )
    return (channels, size, size) if isinstance(size, int) else (channels, *size)


def export_pipeline(
    system: System,
    folder: str | os.PathLike[str],
    scheduler: str = "ddpm",
    cond: Any = None,
) -> None:
    """Write a folder that `DDPMPipeline.from_pretrained` and `DDIMPipeline.from_pretrained` load:
    they draw as this system does, on its whole chain or in `num_inference_steps` that divide it.

    DDIMPipeline is to be called with `use_clipped_model_output=True` where the system clips. The
    data's own grey levels are not kept.

    Args:
        system: of a chain, and a U-Net with `Backbone(plain=True)`.
        folder: to be made.
        scheduler: which pipeline and walk, "ddpm" or "ddim".
        cond: the class to draw, of a system with classes: these pipelines know none.

    Raises:
        UserError: what these pipelines have no equivalent of, by name; the folder holds files.
    """
    if scheduler not in PIPELINES:
        raise UserError(f"There is no scheduler {scheduler!r}: {nearest(scheduler, PIPELINES)}")
    pipeline, eta = PIPELINES[scheduler]
    walked = {key: v for key, v in to_diffusers(_walked(system, eta)).items() if key not in CALLED}
    config, state = unet_to_diffusers(_network(system))
    config["sample_size"] = list(system.task.shape[1:])
    if (label := _label(system, cond)) is not None:
        config["num_class_embeds"] = None
        state["time_embedding.linear_2.bias"] += state.pop("class_embedding.weight")[label]
    index = {
        "_class_name": pipeline,
        "scheduler": ["diffusers", walked["_class_name"]],
        "unet": ["diffusers", "UNet2DModel"],
    }
    Folder(index, config, state, walked).write(Path(folder))


def _walked(system: System, eta: float) -> Motion:
    """What the pipeline's scheduler is to do."""
    denoiser, codec = system.denoiser, system.codec
    if not isinstance(denoiser, GaussianDenoiser) or denoiser.process.noise != White():
        raise _unlike("a belief that is not Gaussian, or noise that is not white")
    if not isinstance(denoiser.process.schedule, Tabulated):
        raise _unlike(f"the schedule {denoiser.process.schedule}, which is no chain")
    if not isinstance(codec, Affine) or max(abs(codec.shift - 0.5), abs(codec.scale - 0.5)) > NEAR:
        raise _unlike("data that do not range from 0 to 1, or are not mapped to -1 and 1")
    if denoiser.variance.heads and not eta:
        raise _unlike("a learned variance with DDIM")
    schedule, variance = denoiser.process.schedule, denoiser.variance if eta else Zero()
    walk = Ancestral(eta, settle=variance != Zero())
    grid = Chain(schedule.steps)
    return Motion(schedule, denoiser.parameterisation, walk, grid, system.threshold, variance)


def _network(system: System) -> UNet:
    network = system.denoiser.network
    if not isinstance(network, UNet) or not isinstance(system.task, Generate):
        raise _unlike(f"{type(network).__name__} for {type(system.task).__name__}")
    if any(side % network.multiple for side in system.task.shape[1:]):
        raise _unlike(
            f"pictures of {system.task.shape[1:]} with a network that halves them to 1/"
            f"{network.multiple} (hush pads them)"
        )
    return network


def _label(system: System, cond: Any) -> int | None:
    if system.task.classes and cond is None:
        raise UserError(
            "DDPMPipeline and DDIMPipeline know no classes: choose the one to draw (cond, --class) "
            f"of {', '.join(system.task.classes)}."
        )
    _, labels = system.task.request(1, cond)
    return None if labels is None else int(labels[0])


def _unlike(what: str) -> UserError:
    return UserError(f"DDPMPipeline and DDIMPipeline of diffusers have no equivalent of {what}.")

"""The files of a pipeline's folder: JSON and safetensors, never a pickle.

model_index.json                             which parts there are
unet/config.json                             the network's configuration
unet/diffusion_pytorch_model.safetensors     its weights
scheduler/scheduler_config.json              the scheduler's configuration

Older ones have all of it in one folder.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from hush.errors import UserError
from hush.training.files import write

INDEX = "model_index.json"
CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
SCHEDULER = "scheduler_config.json"


@dataclass(frozen=True)
class Folder:
    """What a pipeline's folder holds."""

    index: dict[str, Any]
    config: dict[str, Any]
    state: dict[str, Tensor]
    scheduler: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Folder":
        """The folder at `path`, if it is of a `UNet2DModel` and a scheduler."""
        index = _json(path / INDEX)
        parts = {key: value for key, value in index.items() if not key.startswith("_")}
        if set(parts) != {"unet", "scheduler"} or "UNet2DModel" not in parts["unet"]:
            raise UserError(
                f"{path / INDEX} lists {parts}: hush reads pipelines of a UNet2DModel (unet) and "
                "a scheduler, such as DDPMPipeline and DDIMPipeline."
            )
        unet, scheduler = (
            path / part if (path / part).is_dir() else path for part in ("unet", "scheduler")
        )
        config, state = _json(unet / CONFIG), _tensors(unet / WEIGHTS)
        return cls(index, config, state, _json(scheduler / SCHEDULER))

    def write(self, path: Path) -> None:
        """Make the folder at `path`, in one motion."""
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(f"{path} already holds files: choose another folder.")

        def fill(aside: Path) -> None:
            for file, content in (
                (aside / INDEX, self.index),
                (aside / "unet" / CONFIG, self.config),
                (aside / "scheduler" / SCHEDULER, self.scheduler),
            ):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(content, indent=2) + "\n")
            safetensors.torch.save_file(self.state, aside / "unet" / WEIGHTS, {"format": "pt"})

        write(path, fill)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
        if not isinstance(content, dict):
            raise ValueError("it is no dictionary")
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing. Expected a folder that save_pretrained of a pipeline of diffusers "
            "wrote: is the path right?"
        ) from error
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read: {error}.") from error
    return content


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except FileNotFoundError as error:
        there = sorted(file.name for file in path.parent.glob("*.*"))
        raise UserError(
            f"{path} is missing; {path.parent} has {', '.join(there) or 'nothing'}. Pickles (.bin) "
            "may run whatever their writer wanted and are not read, nor weights in several files: "
            "save the pipeline again with save_pretrained(…, safe_serialization=True)."
        ) from error
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} is damaged ({error}): fetch it again.") from error

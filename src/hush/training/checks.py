"""Whether a system, its data and a recipe go together."""

from hush.data import Source, Windows
from hush.errors import UserError
from hush.networks.energy import Gradient
from hush.objectives.score_matching import Probed
from hush.system import Recipe, System
from hush.world import World


def check(system: System, source: Source, recipe: Recipe, world: World) -> None:
    """Raises `UserError` where they do not, before anything of a run is written."""
    if tuple(source.shape) != tuple(system.task.shape):
        raise UserError(
            f"{source.name} has events of shape {tuple(source.shape)}, the model expects "
            f"{tuple(system.task.shape)}: make the system with shape={tuple(source.shape)}."
        )
    gaps = isinstance(source, Windows) and not source.options.whole and source.misses
    if gaps and not system.task.asks:
        raise UserError(
            f"{source.name} has missing values, and {system.name} learns to draw whole windows: "
            "read it with whole=True, or fill its gaps first (hush impute)."
        )
    if recipe.batch % (world.size * recipe.accumulate):
        raise UserError(
            f"A batch of {recipe.batch} cannot be shared by {world.size} processes in "
            f"{recipe.accumulate} equal parts each: choose --batch so that it can."
        )
    if recipe.compile and recipe.shard:
        raise UserError(
            "--compile and --shard do not go together, for what is sharded has its weights only "
            "while it computes: leave one of them out."
        )
    inside = any(isinstance(part, Gradient) for part in system.denoiser.modules())
    if inside and recipe.shard:
        raise UserError(
            f"{system.name} takes gradients inside its network, which --shard cannot do: leave it "
            "out, so that every process keeps the whole model."
        )
    if recipe.compile and (inside or isinstance(system.objective, Probed)):
        raise UserError(
            f"{system.name} takes gradients of gradients through its network, which compiled code "
            "does not have: leave --compile out."
        )

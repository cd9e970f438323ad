"""`hush train --given`: pictures, and what each of them is to be made from."""

from typing import TYPE_CHECKING, Any

from hush.errors import UserError

if TYPE_CHECKING:
    from hush.data.pairs import Pairs
    from hush.system import System


def in_pairs(options: Any) -> "Pairs":
    """The pictures of --data with those of --given, which are `--factor` times smaller where the
    system has one."""
    from hush.data.pairs import paired

    factor, sides = getattr(options, "factor", 1), options.pictures.height_width
    smaller = sides and tuple(max(1, side // factor) for side in sides)
    return paired(options.data, options.given, options.pictures, smaller)


def must_take(system: "System", source: "Pairs") -> None:
    """Raise `UserError` unless the system makes pictures of the source from those given."""
    import torch

    from hush.tasks.images import FromPicture

    task = system.task
    if not isinstance(task, FromPicture):
        raise UserError(
            f"{system.name} makes no picture from another: leave --given out, or train sr3, "
            "srdiff, cascade or palette."
        )
    seen = task.prepared(torch.zeros(1, *source.given_shape))
    if tuple(seen.shape[1:]) != tuple(task.shape):
        wanted, given, made = (
            "x".join(map(str, shape)) for shape in (task.shape, source.given_shape, seen.shape[1:])
        )
        raise UserError(
            f"{system.name} makes pictures of {wanted} (channel, height, width); those in "
            f"{source.given.name} are {given}, and {made} as it sees them: choose --size, "
            "--channels or --factor so that they fit, or convert the files."
        )

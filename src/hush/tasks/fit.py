"""Whether a system tells what it is asked about series, said in a sentence where it does not."""

from typing import Any

from hush.data import Windows
from hush.errors import UserError
from hush.system import System
from hush.tasks.series import Impute


def must_tell(system: System, name: Any) -> None:
    """Raise `UserError` unless the system is of series, as the data of that name are."""
    if not isinstance(system.task, Impute) and len(system.task.shape) == 2:
        raise UserError(
            f"A model of {system.name} draws whole windows, and tells nothing about {name}: use "
            "hush generate, or train csdi, sssd, csde or timegrad on such a file."
        )
    if not isinstance(system.task, Impute):
        raise UserError(
            f"A model of {system.name} is not of series, and tells nothing about {name}: train "
            "csdi, sssd, csde or timegrad on such a file."
        )


def must_fit(system: System, source: Windows) -> None:
    """Raise `UserError` unless the system tells series of as many channels as the source has."""
    must_tell(system, source.name)
    if len(source.channels) != system.task.shape[0]:
        raise UserError(
            f"{source.name} has {len(source.channels)} channels ({', '.join(source.channels)}), "
            f"and the model learnt {system.task.shape[0]}: name those it learnt in values, in "
            "their order."
        )


def must_fill(system: System, source: Windows) -> None:
    """Raise `UserError` unless the system tells gaps, and the source has one."""
    must_fit(system, source)
    must_tell_gaps(system)
    if not source.table.values.isnan().any():
        raise UserError(f"{source.name} has no missing value: there is nothing to fill.")


def must_tell_gaps(system: System) -> None:
    """Raise `UserError` for a system that tells what comes last, and nothing else."""
    if system.task.hide == "forecast":
        raise UserError(
            f"The model learnt the last {system.task.horizon} stamps of its windows, and no gaps "
            "in them: use hush forecast, or train without a horizon."
        )

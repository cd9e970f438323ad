"""Files of tables that are whole or not there."""

import os
from collections.abc import Callable
from contextlib import suppress

from hush.data.words import cause, shown
from hush.errors import UserError

PARQUET = (".parquet", ".pq")  # endings


def atomically(path: str, write: Callable[[str], None]) -> None:
    """Write beside the file and put it in its place when it is whole. Raises `UserError`
    for a file that cannot be written."""
    temporary = f"{path}.{os.getpid()}.part"
    try:
        write(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be written: {cause(error)}.") from error
    finally:
        with suppress(OSError):
            os.unlink(temporary)

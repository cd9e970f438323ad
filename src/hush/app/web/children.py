"""Commands of hush in processes of their own: they can be ended, and one may outlive the page."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TOLD = 4000  # characters of what was said last that are read
PATIENCE = 120.0  # seconds that a child has to save and leave


class Child:
    """One command line, begun. What it says goes to a file."""

    def __init__(self, words: Sequence[str], log: Path, outlives: bool = False) -> None:
        self.words, self.log, self.outlives, self.asked = tuple(words), log, outlives, False
        with log.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hush", *words],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the page's terminal is not meant for it
                env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
            )

    @property
    def status(self) -> int | None:
        """Its exit status; None as long as it works."""
        return self._process.poll()

    def said(self) -> str:
        """The last lines it has said."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - TOLD))
            return file.read().decode(errors="replace").strip()

    def stop(self) -> None:
        """Ask it to end as Ctrl-C does: training finishes its step, saves and leaves."""
        self.asked = True
        if self.status is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = PATIENCE) -> None:
        """Until it has ended; one that takes longer is ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

"""Several threads for one piece of work, never more together than there are cores."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
WORKERS = min(8, _CORES or 1)
_here = threading.local()  # how many threads share the cores with this one


def in_parallel(function: Callable[[int], Result], items: Sequence[int]) -> list[Result]:
    """`[function(item) for item in items]` on several threads; the first error is raised.

    Each thread takes one run of neighbours: handing out items one by one costs more than
    decoding a small picture. Pillow and zlib let go of the interpreter lock while they work.
    """
    threads = WORKERS // getattr(_here, "sharing", 1)
    if len(items) <= 1 or threads <= 1:
        return [function(item) for item in items]
    stride = -(-len(items) // threads)
    runs = [items[start : start + stride] for start in range(0, len(items), stride)]
    with ThreadPoolExecutor(len(runs), thread_name_prefix="hush-decode") as pool:
        done = pool.map(lambda run: [function(item) for item in run], runs)
        return [result for run in done for result in run]


def readers(count: int) -> ThreadPoolExecutor:
    """`count` threads for many pieces of work; each uses its share of the cores `in_parallel`."""
    return ThreadPoolExecutor(count, "hush-read", lambda: setattr(_here, "sharing", count))

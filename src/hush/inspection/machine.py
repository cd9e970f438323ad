"""What this machine has to offer."""

import os
from pathlib import Path

import torch

_CGROUP = ("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", None)


def memory(device: torch.device) -> int:
    """Bytes that are free now: of an accelerator its own, of a processor those that the system can
    give, within what the process is held to."""
    module = torch.get_device_module(device)
    if hasattr(module, "mem_get_info"):
        return module.mem_get_info(device)[0]
    free = [_available(), *_limits()]
    return min(each for each in free if each is not None)


def _available() -> int:
    """What Linux calls available; elsewhere half of what there is."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _limits() -> list[int]:
    """What the control groups of this process leave it, where they hold it."""
    found = []
    for limit, used in _CGROUP:
        try:
            most = int(Path("/sys/fs/cgroup", limit).read_text())
            now = int(Path("/sys/fs/cgroup", used).read_text()) if used else 0
            found.append(most - now)
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return found


def called(device: torch.device) -> str:
    """What to call it: "2 processor threads", or the accelerator's name."""
    if device.type == "cpu":
        count = torch.get_num_threads()
        return f"{count} processor thread{'s'[: count != 1]}"
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type

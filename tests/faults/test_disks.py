"""A disk that fails ends a run in a sentence; mended, the run ends as one never stopped."""

import errno
import os
import random
import subprocess
import sys

import pytest
from hurts import At, Fail, Small
from lives import DONE, REFUSED, SHORT, check_same, lived, sampled

WRITES = (8, 48, 131)  # some of the touches of a short run
PARTS = ("metrics.jsonl", "samples", "records.jsonl", "system.json", "/0")
ROOT = sys.platform == "linux" and os.geteuid() == 0


def refused(death):
    """It ended in one sentence, and no traceback."""
    assert death.status == REFUSED, death.said
    assert "Traceback" not in death.said
    said = [line for line in death.said.splitlines() if line.startswith("hush: ")]
    assert len(said) == 1
    return said[0]


@pytest.mark.parametrize("number", sampled([errno.ENOSPC, errno.EIO], [errno.ENOSPC]))
@pytest.mark.parametrize("touch", sampled(range(180), WRITES))
def test_one_failing_write_costs_nothing(tmp_path, whole, touch, number):
    out = tmp_path / "run"
    death = lived(out, SHORT, At(touch, Fail(number)))
    if death.status != DONE:  # a link may be a copy, a folder is perhaps there already
        assert os.strerror(number).lower() in refused(death).lower()
    assert lived(out, SHORT).status == DONE
    check_same(out, SHORT, whole)


@pytest.mark.parametrize("part", sampled(PARTS, PARTS[:2]))
def test_a_disk_that_fails_for_good_is_named_and_what_was_saved_stays(tmp_path, whole, part):
    out = tmp_path / "run"
    death = lived(out, SHORT, At(3, Fail(errno.ENOSPC), part=part, times=10**9))
    if part != "system.json":
        assert os.strerror(errno.ENOSPC).lower() in refused(death).lower()
    assert lived(out, SHORT).status == DONE
    check_same(out, SHORT, whole)


@pytest.mark.parametrize("touch", sampled(range(27), [10]))
def test_one_failing_read_while_a_run_is_taken_up_costs_nothing(tmp_path, whole, touch):
    out = tmp_path / "run"
    lived(out, SHORT, At(100, Fail(errno.ENOSPC)))
    death = lived(out, SHORT, At(touch, Fail(errno.EIO), looking=True))
    if death.status != DONE:
        assert os.strerror(errno.EIO) in refused(death)
    assert lived(out, SHORT).status == DONE
    check_same(out, SHORT, whole)


@pytest.mark.parametrize("seed", sampled(range(9), [0]))
def test_a_write_that_is_cut_short_costs_nothing(tmp_path, whole, seed):
    out, chance = tmp_path / "run", random.Random(seed)
    largest = sorted(len(content) for content in whole.values())
    said = refused(lived(out, SHORT, Small(chance.randrange(600, largest[-1]))))
    assert os.strerror(errno.EFBIG) in said
    assert lived(out, SHORT).status == DONE
    check_same(out, SHORT, whole)


@pytest.mark.skipif(not ROOT, reason="only root can mount")
@pytest.mark.parametrize("kilobytes", sampled(range(20, 241, 20), [100]))
def test_a_full_disk_costs_nothing(tmp_path, whole, kilobytes):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "hush", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is forbidden here")
    try:
        assert os.strerror(errno.ENOSPC) in refused(lived(disk / "run", SHORT))
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        assert lived(disk / "run", SHORT).status == DONE
        check_same(disk / "run", SHORT, whole)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)

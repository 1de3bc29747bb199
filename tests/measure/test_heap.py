"""The heap keeps what is freed, and page faults with it; in a process of its own."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from bench.measure import meters
meters.set_heap_policy(getattr(meters, sys.argv[1]))
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30):  # until the small blocks between have found their places
    torch.ones(25_000_000)
before = faults()
for _ in range(10):
    torch.ones(25_000_000)
print(faults() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these policies")
def test_tensors_of_the_same_size_reuse_the_pages_of_those_that_were_freed() -> None:
    found = {}
    for policy in ("DEFAULT_HEAP", "KEPT_HEAP"):
        command = [sys.executable, "-c", FAULTS, policy]
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        found[policy] = int(run.stdout)
    # Ten times 100 MB are 244,000 pages of 4 KiB, or 488 of 2 MiB; none where they are kept.
    assert found["DEFAULT_HEAP"] > 400
    assert found["KEPT_HEAP"] < found["DEFAULT_HEAP"] / 10

"""Why a cell failed, in the words of a record."""

import torch

from bench.errors import DataError, WeightsError
from bench.running.job import Cause
from bench.training.fit import Diverged

HOST_MEMORY = ("DefaultCPUAllocator: can't allocate memory", "Cannot allocate memory")
POISONED = ("CUDA error", "device-side assert", "cuDNN error", "CUBLAS_STATUS")
"""After any of these the CUDA context of the process may be unusable."""


def cause_of(error: Exception) -> Cause:
    """What an exception that ended a cell says about it."""
    reason = first_line(error)
    match error:
        case Diverged():
            return Cause("diverged", "training", reason)
        case DataError():
            return Cause("failed", "data", reason)
        case WeightsError():
            return Cause("failed", "weights", reason)
        case torch.OutOfMemoryError():
            return Cause("failed", "oom_gpu", f"out of GPU memory: {reason}")
        case RuntimeError() if "ALLOC_FAILED" in str(error):  # of cuBLAS or cuDNN
            return Cause("failed", "oom_gpu", f"out of GPU memory: {reason}")
        case MemoryError():
            return Cause("failed", "oom_host", "out of memory")
        case RuntimeError() if any(mark in str(error) for mark in HOST_MEMORY):
            return Cause("failed", "oom_host", f"out of memory: {reason}")
        case RuntimeError() if any(mark in str(error) for mark in POISONED):
            return Cause("failed", "cuda", reason)
    return Cause("failed", "training", f"{type(error).__name__}: {reason}")


def first_line(error: Exception) -> str:
    """The first line of an error's text, at most 300 characters."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__

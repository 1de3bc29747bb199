"""Run a command and write what it and every process below it took: `launch.py RESULT COMMAND...`.

A fork server outlives the command that started it and is nobody's child then; here it becomes
this process's, which waits for it, so that the CPU time of everything it ran is counted.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    """Exit code of the command."""
    result, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = time.perf_counter()
    code = subprocess.call(command)
    wall_seconds = time.perf_counter() - before
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost = {"cpu_seconds": used.ru_utime + used.ru_stime, "wall_seconds": wall_seconds}
    Path(result).write_text(json.dumps(cost), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())

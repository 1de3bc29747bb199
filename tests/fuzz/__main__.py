"""Coverage-guided search for bytes that a reader does not survive.

    python -m tests.fuzz suite --seconds 600
    python -m tests.fuzz all --seconds 120

Needs atheris (`pip install atheris`, Linux). What is found lands in tests/fuzz/corpus, and is a
test from then on. Exit code 1 where a target has a finding.
"""

import argparse
import importlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

SECONDS_OF_ONE = 10
MEGABYTES = 2048


def main(words: Sequence[str] | None = None) -> None:
    """Search each target in a process of its own, and print what it did."""
    from tests.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--seconds", type=int, default=120, help="for each target")
    asked = parser.parse_args(words)
    names = list(TARGETS) if asked.target == "all" else [asked.target]
    codes = [searched(name, asked.seconds) for name in names]
    sys.exit(1 if any(codes) else 0)


def searched(name: str, seconds: int) -> int:
    """Search one target; the exit code of the process that did."""
    from tests.fuzz.targets import CORPUS

    here = CORPUS / name
    here.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-fuzz-") as new:
        found = subprocess.run(
            [
                *(
                    sys.executable,
                    "-c",
                    f"from tests.fuzz.__main__ import search; search({name!r})",
                ),
                *(f"-max_total_time={seconds}", f"-timeout={SECONDS_OF_ONE}", "-max_len=20000"),
                *(f"-rss_limit_mb={MEGABYTES}", f"-artifact_prefix={here}/", new, str(here)),
            ],
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    done = re.findall(r"^#(\d+).*?cov: (\d+) ft: (\d+)", found.stderr, re.MULTILINE)
    runs, coverage, features = done[-1] if done else ("0", "0", "0")
    how = "nothing found" if found.returncode == 0 else f"FOUND, exit code {found.returncode}"
    seen = f"{int(runs):,} inputs in {seconds} s, {coverage} edges, {features} features"
    sys.stdout.write(f"{name}: {seen}: {how}\n")
    if found.returncode:
        sys.stdout.write(f"{found.stderr[-3000:]}\n")
    return found.returncode


def search(name: str) -> None:
    """Let atheris call the target; its options are those of libFuzzer, on the command line."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["bench", "tomllib"]):
        targets = importlib.import_module("tests.fuzz.targets")
    atheris.Setup(sys.argv, lambda data: targets.accepts(name, data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

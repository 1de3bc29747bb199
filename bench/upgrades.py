"""Files of older schemas in today's: one step from each version to the next.

A step says what was true of the older bench and nothing more: what it did not look at is null.
"""

from collections.abc import Callable, Mapping
from typing import Any

Content = dict[str, Any]


def say_what_was_cached(content: Content) -> Content:
    """1 to 2: a cell decoded its images itself, and no step was captured or compiled."""
    if content.get("status") != "ok":
        return content  # a failure, or run.json
    starts_frozen = content["cell"]["kind"] in ("feature_extraction", "two_phase")
    features = "computed" if starts_frozen else None
    execution = {"captured": False, "compiled": False, "resident": True}
    return {
        **content,
        "cost": {**content["cost"], "images": "bypassed", "features": features},
        "execution": {**content["execution"], **execution},
    }


def say_which_driver_branch(content: Content) -> Content:
    """2 to 3: of what the fingerprint gained, only the driver's branch was known before."""
    machine = content["machine"]
    driver = machine["driver"]
    branch = None if driver is None else driver.partition(".")[0]
    return {**content, "machine": {**machine, "driver_branch": branch}}


def say_nothing_of_the_processor(content: Content) -> Content:
    """3 to 4: only the processor's name was looked at, which virtual machines share."""
    return content


UPGRADES: Mapping[int, Callable[[Content], Content]] = {
    1: say_what_was_cached,
    2: say_which_driver_branch,
    3: say_nothing_of_the_processor,
}
"""From each older schema version to the next one."""

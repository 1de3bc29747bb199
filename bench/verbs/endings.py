"""How a comparison ends: an exit code for what it found."""

from collections.abc import Collection
from typing import TYPE_CHECKING, get_args

from bench.errors import Exit, InputError

if TYPE_CHECKING:
    from bench.analysis.compare import Outcome

CODES: "dict[Outcome, Exit]" = {
    "regressed": Exit.REGRESSION,
    "failed": Exit.REGRESSION,
    "missing": Exit.NOT_ALL_OK,
    "refused": Exit.NOT_ALL_OK,
    "unstable": Exit.NOT_ALL_OK,
    "nothing_judged": Exit.NOT_ALL_OK,
    "inconclusive": Exit.NOT_ALL_OK,
}


def asked(fail_on: str | None) -> "set[Outcome]":
    """What does not end well. Raises InputError."""
    from bench.analysis.compare import Outcome
    from bench.errors import unknown

    if fail_on is None:
        return {outcome for outcome in CODES if outcome != "inconclusive"}
    given = [name.strip() for name in fail_on.split(",") if name.strip()]
    wrong = [name for name in given if name not in get_args(Outcome)]
    if wrong or not given:
        accepted = list(get_args(Outcome))
        problems = [f"--fail-on {name}: {unknown(name, accepted)}" for name in wrong]
        raise InputError(problems or [f"--fail-on: names none of {', '.join(accepted)}"])
    # Comparing nothing is never success.
    return {"nothing_judged", *(outcome for outcome in CODES if outcome in given)}


def exit_code(has: "Collection[Outcome]", failing: "set[Outcome]") -> Exit:
    """The worst of what is there and does not end well."""
    return max((CODES[name] for name in failing.intersection(has)), default=Exit.OK)

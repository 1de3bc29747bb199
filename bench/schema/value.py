"""What every value that reaches the disk has in common."""

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 4
"""Shape of the files in a run folder; a newer one is refused."""

PROTOCOL_VERSION = 1
"""Meaning of a cell: bumped when a default or the meaning of a field changes."""


class Value(BaseModel):
    """An immutable value; unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

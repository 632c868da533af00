"""What the fields of all requests share: names, times, limits, and that nothing is ignored."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, StringConstraints

MOST_QUEUES = 200
LONGEST_TEXT = 10_000
"""Characters of one id or name in a request; a longer one cannot exist."""

_LOST_PLUS = re.compile(r"T\d\d(:?\d\d){0,2}(\.\d+)? \d\d:?\d\d$")


def _iso_text(value: Any) -> Any:
    """Let only ISO 8601 text through: numbers would be read as seconds in silence."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or value.strip().lstrip("+-").replace(".", "", 1).isdigit():
        raise ValueError("must be an ISO 8601 time such as `2026-03-02T00:00:00Z`")
    if _LOST_PLUS.search(value):
        raise ValueError("has lost the `+` of its offset: write `%2B` in an address, or use `Z`")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_iso_text)]
Name = Annotated[str, StringConstraints(max_length=LONGEST_TEXT)]


class Request(BaseModel):
    """A request: an unknown field is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

"""Log lines as JSON, one an event, without configuring anything for the whole process."""

from __future__ import annotations

from typing import Any, BinaryIO, cast

import orjson
import structlog


def json_log(stream: BinaryIO) -> structlog.typing.FilteringBoundLogger:
    """Return a log that writes one JSON line an event."""
    log = structlog.wrap_logger(
        structlog.BytesLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        cache_logger_on_first_use=True,
    )
    return cast("structlog.typing.FilteringBoundLogger", log)


def _dumps(event: Any, **_: Any) -> bytes:
    try:
        return orjson.dumps(event, default=str)
    except TypeError:
        # A path may hold a lone surrogate, which is no UTF-8.
        return orjson.dumps(
            {k: str(v).encode("utf-8", "replace").decode() for k, v in event.items()}
        )

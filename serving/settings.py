"""The service's settings, from the environment; its log, as JSON lines; its version."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson
import structlog
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from features.console import DEFAULT_HOME
from features.errors import ConfigError

ENV_PREFIX = "EBBFLOW_"
VERSION = "0.1.0"
"""The same as in pyproject.toml: a Bento holds the source, not a wheel."""


class Settings(BaseSettings):
    """How one server runs; every field has a default that is safe on one machine."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_ignore_empty=True, frozen=True, extra="ignore"
    )

    home: Path | None = Field(
        None,
        description="Folder that holds the lake, snapshots, bundles and published sets; "
        "by default `.ebbflow` in the working folder, or the one inside the Bento.",
    )
    database_url: str | None = Field(
        None,
        description="SQLAlchemy URL of the database that keeps planners' overrides; by default "
        "the file `service.db` in the home.",
    )
    host: str = Field(
        "127.0.0.1",
        description="Address to listen on. There is no authentication: keep it behind a proxy.",
    )
    port: int = Field(3000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    workers: int = Field(
        1, ge=1, le=64, description="Processes that answer; each maps the same files."
    )
    refresh_seconds: float = Field(
        1.5, ge=0.05, le=4, description="Pause between two looks for new folders, seconds."
    )
    max_body_bytes: int = Field(
        2_000_000, ge=1_000, le=100_000_000, description="Largest request body; above it 413."
    )
    request_timeout_seconds: float = Field(
        4.0, gt=0, le=4.5, description="Time until an answer must have begun; then 408 or 504."
    )
    access_log: bool = Field(True, description="Write one JSON line a request on standard error.")


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        ConfigError: A variable holds a value that its setting cannot take.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = ENV_PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigError(
            f"setting `{name}`",
            got=repr(first["input"]),
            expected=first["msg"][:1].lower() + first["msg"][1:],
            remedy="see the settings table in docs/operations.md",
            field=name,
        ) from None


def find_home(settings: Settings, *, source: Path) -> Path:
    """Return the folder that the service reads; ``source`` holds the package ``serving``.

    Inside a Bento it is the folder packed beside the source, whatever the working folder.
    """
    if settings.home is not None:
        return settings.home
    if (source.parent / "bento.yaml").is_file():
        return source / DEFAULT_HOME
    return DEFAULT_HOME


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

"""The training configuration: a TOML file into frozen settings, where a wrong key is an error.

Every key has a default, so that no file is needed; ``render`` writes the file with all of them.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from features.errors import ConfigError, UnknownNameError
from training.churn.config import ChurnConfig
from training.volume.config import VolumeConfig


class Config(BaseModel):
    """Everything that a fit can be asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    volume: VolumeConfig = Field(
        default_factory=VolumeConfig, description="Forecasts of contacts by queue and interval."
    )
    churn: ChurnConfig = Field(
        default_factory=ChurnConfig, description="Scores of customers who may leave."
    )


def load_config(path: Path | None) -> Config:
    """Read a configuration file; without one every key has its default.

    Raises:
        ConfigError: The file cannot be read or parsed, a key is unknown (near names are
            suggested) or a value is of a wrong type or out of range.
    """
    if path is None:
        return Config()
    what = f"configuration file `{path}`"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            what,
            got=error.strerror or str(error),
            expected="a readable TOML file",
            remedy="`python -m training config > FILE` writes one with every default",
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            what, got=str(error), expected="TOML in UTF-8", remedy="correct the file"
        ) from error
    try:
        # JSON mode is strict about types and yet takes an array for a tuple.
        return Config.model_validate_json(json.dumps(document, default=str), strict=True)
    except ValidationError as error:
        problems = [_problem(entry) for entry in error.errors(include_url=False)]
        raise ConfigError(
            what,
            got="; ".join(text for text, _ in problems),
            remedy="correct it; `python -m training config` shows every key with its default",
            field=problems[0][1],
        ) from error


def _problem(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Return what is wrong in words, and the path of the key."""
    keys = [str(part) for part in entry["loc"]]
    path = ".".join(keys)
    if entry["type"] == "extra_forbidden":
        unknown = UnknownNameError("key", keys[-1], _keys_beside(keys))
        return f"unknown key `{path}` ({unknown.remedy})", path
    return f"`{path}` = {entry['input']!r} ({entry['msg']})", path


def _keys_beside(keys: list[str]) -> list[str]:
    """Return the keys that are known where a path's last key stands."""
    model: Any = Config
    for key in keys[:-1]:
        model = model.model_fields[key].annotation
    return list(model.model_fields)


def settings(model: type[BaseModel], *, prefix: str = "") -> Iterator[tuple[str, FieldInfo, Any]]:
    """Yield each key of a configuration class as dotted path, field and default."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings(field.annotation, prefix=f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field, field.get_default(call_default_factory=True)


def render(model: type[BaseModel] = Config) -> str:
    """Return the TOML file that says every key with its meaning and default.

    A key without a default value (None) stands as a comment.
    """
    lines = ["# Every key of the training configuration with its default; leave out what fits."]
    table = ""
    for path, field, default in settings(model):
        inside, _, name = path.rpartition(".")
        if inside != table:
            table = inside
            lines += ["", f"[{table}]"]
        lines.append(f"# {field.description}")
        lines.append(f"# {name} =" if default is None else f"{name} = {_toml(default)}")
    return "\n".join(lines) + "\n"


def reference(model: type[BaseModel] = Config) -> str:
    """Return every key with its default and meaning as a Markdown table, for the docs."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    lines += [
        f"| `{path}` | `{_toml(default)}` | {field.description} |"
        for path, field, default in settings(model)
    ]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, tuple | list | frozenset):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)  # TOML writes these scalars as JSON does

"""Every setting as a flat table: dotted path, environment variable, default, unit, rules, sentence."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from eternal_engine.config.settings import Settings
from eternal_engine.config.types import Section, Weights, metadata

ENV_PREFIX = "ETERNAL_"
# Variables of the program itself, which are no settings.
PROGRAM_VARIABLES = {
    "ETERNAL_CONFIG_DIR": "Directory of the YAML files, instead of ./config.",
    "ETERNAL_SHARED_DATA": "Directory of recorded market data that the tests use; the program ignores it.",
}


@dataclass(frozen=True)
class Key:
    """Describe one setting. `container`: its variable holds YAML; `secret`: never shown, never in a file."""

    path: str
    env: str
    default: str
    unit: str
    rules: tuple[str, ...]
    sentence: str
    container: bool
    secret: bool


@cache
def all_keys() -> dict[str, Key]:
    """Return every setting by its dotted path, in the order of the settings tree."""
    return {entry.path: entry for entry in _walk(Settings, "")}


@cache
def sections() -> dict[str, str]:
    """Return the sentence of every branch of the tree by its dotted path."""
    return dict(_walk_sections(Settings, ""))


@cache
def keys_by_env() -> dict[str, Key]:
    """Return every setting by its environment variable."""
    return {entry.env: entry for entry in all_keys().values()}


def nearest(wrong: str, valid: list[str]) -> str:
    """Give the valid name that looks most like `wrong`, or an empty string when none does."""
    matches = get_close_matches(wrong, valid, n=1, cutoff=0.6)
    return matches[0] if matches else ""


def _walk(model: type[Section], prefix: str) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        if _is_section(field):
            yield from _walk(_section_of(field), f"{path}.")
        else:
            yield _key_of(path, field)


def _walk_sections(model: type[Section], prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        if _is_section(field):
            yield f"{prefix}{name}", field.description or ""
            yield from _walk_sections(_section_of(field), f"{prefix}{name}.")


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Section)


def _section_of(field: FieldInfo) -> type[Section]:
    assert isinstance(field.annotation, type)
    assert issubclass(field.annotation, Section)
    return field.annotation


def _key_of(path: str, field: FieldInfo) -> Key:
    extra = metadata(field.json_schema_extra)
    return Key(
        path=path,
        env=ENV_PREFIX + path.upper().replace(".", "__"),
        default=_default_text(field),
        unit=extra["unit"],
        rules=tuple(extra["rules"]),
        sentence=field.description or "",
        container=field.annotation is Weights or get_origin(field.annotation) is tuple,
        secret=SecretStr in _alternatives(field.annotation),
    )


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _default_text(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return ""  # made by a factory: differs between machines, and its sentence says how
    return to_text(field.default)


def to_text(value: Any) -> str:
    """Write a setting's value as YAML's flow style would read it back; None becomes an empty text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Weights):
        return "{" + ", ".join(f"{symbol}: {to_text(part)}" for symbol, part in value.items()) + "}"
    if isinstance(value, Section):
        return "{" + ", ".join(f"{name}: {to_text(part)}" for name, part in value) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(to_text, value)) + "]"
    if isinstance(value, Decimal | float):
        return _plain_number(value)
    return value.as_posix() if isinstance(value, Path) else str(value)


def _plain_number(value: Decimal | float) -> str:
    return format(Decimal(str(value)).normalize(), "f")


def value_at(settings: Settings, path: str) -> Any:
    """Give the value of the setting at a dotted path."""
    value: Any = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value

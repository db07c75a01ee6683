"""Read the environment and .env files into flat assignments, refusing variables that name no setting."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from eternal_engine.config.keys import ENV_PREFIX, PROGRAM_VARIABLES, Key, keys_by_env, nearest
from eternal_engine.config.yaml_layer import Assigned, parse_yaml
from eternal_engine.model.errors import UsageError

_LINE = re.compile(r"""^(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)$""")
_QUOTED = re.compile(r"""^(?P<quote>["'])(?P<text>.*)(?P=quote)\s*(?:#.*)?$""")
_START_OF_THE_PREFIX = ENV_PREFIX[:5]


def read_dotenv(path: Path) -> dict[str, Assigned]:
    """Return NAME -> text of one .env file; a file that is not there is empty.

    Raises UsageError for a file that cannot be read, naming file and line for a line that is no assignment and for a
    doubled name.
    """
    if not path.is_file():
        return {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        # What cannot be decoded may be part of a secret, so it is not repeated.
        problem = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(
            f"cannot read: {problem}", where=str(path), mend="make it a text file that this user may read"
        ) from None
    found: dict[str, Assigned] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        where = f"{path.name}:{number}"
        match = _LINE.match(text)
        if match is None:
            # The line itself may hold a secret, so it is not repeated.
            raise UsageError("not an assignment", where=where, mend="write NAME=value")
        name = match["name"]
        if name in found:
            raise UsageError(f"{name} is written twice", where=where, mend="keep one of them")
        found[name] = Assigned(_unquoted(match["value"]), where)
    return found


def _unquoted(text: str) -> str:
    quoted = _QUOTED.match(text)
    return quoted["text"] if quoted else re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()


def read_environment(environ: Mapping[str, str]) -> dict[str, Assigned]:
    """Return NAME -> text of the process environment, with the variable itself as origin."""
    return {name: Assigned(value, name) for name, value in environ.items()}


def to_settings(variables: Mapping[str, Assigned]) -> dict[str, Assigned]:
    """Return dotted path -> value for the variables that are settings; an empty variable counts as not set.

    Raises UsageError for a variable with our prefix, or nearly our prefix, that names no setting.
    """
    found: dict[str, Assigned] = {}
    for name, (text, origin) in variables.items():
        entry = keys_by_env().get(name)
        if entry is None:
            _refuse_misspelt(name, origin)
        elif text != "":
            found[entry.path] = Assigned(_parsed(entry, text, origin), _named_origin(name, origin))
    return found


def _named_origin(name: str, origin: str) -> str:
    return origin if origin == name else f"{origin} {name}"


def _refuse_misspelt(name: str, origin: str) -> None:
    if name in PROGRAM_VARIABLES:
        return
    if not name.upper().startswith(ENV_PREFIX) and not _looks_like_ours(name):
        return
    close = _nearest_variable(name.upper())
    mend = f"did you mean {close}?" if close else "docs/configuration.md lists the variables"
    raise UsageError(f"the variable {name} names no setting", where=_named_origin(name, origin), mend=mend)


def _nearest_variable(name: str) -> str:
    # Compared without the prefix, which would make any two variables look alike.
    tails = {variable.removeprefix(ENV_PREFIX): variable for variable in (*keys_by_env(), *PROGRAM_VARIABLES)}
    return tails.get(nearest(name.partition("_")[2], list(tails)), "")


def _looks_like_ours(name: str) -> bool:
    return "__" in name and name.upper().startswith(_START_OF_THE_PREFIX)


def _parsed(entry: Key, text: str, origin: str) -> Any:
    if not entry.container:
        return text
    try:
        return parse_yaml(text)
    except yaml.YAMLError:
        mend = f"write it like the default: {entry.default}"
        raise UsageError(f"{entry.path} is not YAML", where=_named_origin(entry.env, origin), mend=mend) from None

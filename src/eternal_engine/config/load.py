"""Put the layers on top of each other, later wins: defaults, base, engine files, mode, .env files, environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ValidationError

from eternal_engine.config.env_layer import read_dotenv, read_environment, to_settings
from eternal_engine.config.keys import all_keys, to_text
from eternal_engine.config.settings import Settings
from eternal_engine.config.yaml_layer import Assigned, read_yaml
from eternal_engine.model.errors import UsageError

Mode = Literal["backtest", "paper", "demo", "live"]
MODES: tuple[Mode, ...] = get_args(Mode)
ENGINE_FILES = ("core_hodl", "trend", "funding", "tactical", "risk")
# What systemd hands to a service (LoadCredential=): a file of assignments that only the service can read.
CREDENTIAL_FILE = "eternal.env"
_BASE_KEYS = frozenset({"capital_usdt", "symbols", "shares", "paths", "costs", "backtest", "daemon", "log", "alerts"})


@dataclass(frozen=True)
class Configuration:
    """Hold the settings, where each value that is no default came from, and what was read."""

    settings: Settings
    origins: Mapping[str, str]
    mode: Mode
    config_dir: Path | None


def load(
    mode: Mode = "backtest",
    *,
    config_dir: Path | None = None,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Settings:
    """Return the settings of a mode; see `read` for the arguments and errors."""
    return read(mode, config_dir=config_dir, environ=environ, directory=directory).settings


def read(
    mode: Mode = "backtest",
    *,
    config_dir: Path | None = None,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Configuration:
    """Return the settings of a mode with their origins.

    `directory` (default: the working directory) holds .env, .env.local and config/; `environ` defaults to the
    process environment. Raises UsageError naming file and line, or variable, for anything unknown or wrong.
    """
    directory = directory or Path()
    environ = os.environ if environ is None else environ
    environment = read_environment(environ)
    dotenv = read_dotenv(directory / ".env")
    local = read_dotenv(directory / ".env.local")
    handed = read_dotenv(Path(environ["CREDENTIALS_DIRECTORY"]) / CREDENTIAL_FILE) if _has_credentials(environ) else {}
    variables = {**dotenv, **local, **handed, **environment}
    files = config_dir or _config_dir(directory, variables)
    assigned = _files(files, mode) if files else {}
    for layer in (dotenv, local, handed, environment):
        assigned.update(to_settings(layer))
    settings = _validated(assigned)
    return Configuration(settings, {path: origin for path, (_, origin) in assigned.items()}, mode, files)


def _has_credentials(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("CREDENTIALS_DIRECTORY"))


def _config_dir(directory: Path, variables: Mapping[str, Assigned]) -> Path | None:
    named = variables.get("ETERNAL_CONFIG_DIR")
    if named is not None and named.value:
        path = directory / str(named.value)
        if not path.is_dir():
            raise UsageError(f"no such directory: {path}", where=named.origin, mend="name the directory of base.yaml")
        return path
    path = directory / "config"
    return path if path.is_dir() else None


def _files(config_dir: Path, mode: Mode) -> dict[str, Assigned]:
    if not config_dir.is_dir():
        raise UsageError(
            f"no such directory: {config_dir}", where="--config-dir", mend="name the directory of base.yaml"
        )
    _refuse_strange_files(config_dir)
    found: dict[str, Assigned] = {}
    layers = [("base", _BASE_KEYS), *((name, frozenset({name})) for name in ENGINE_FILES), (mode, None)]
    for name, allowed in layers:
        path = config_dir / f"{name}.yaml"
        if path.exists():
            found.update(read_yaml(path, allowed))
    return found


def _refuse_strange_files(config_dir: Path) -> None:
    known = {f"{name}.yaml" for name in ("base", *ENGINE_FILES, *MODES)}
    for path in sorted(config_dir.iterdir()):
        if path.suffix in (".yaml", ".yml") and path.name not in known:
            mend = f"the files read are {', '.join(sorted(known))}"
            raise UsageError(f"{path.name} would never be read", where=str(path), mend=mend)


def _validated(assigned: Mapping[str, Assigned]) -> Settings:
    tree: dict[str, Any] = {}
    for path, (value, _) in assigned.items():
        *branches, leaf = path.split(".")
        node = tree
        for branch in branches:
            node = node.setdefault(branch, {})
        node[leaf] = value
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise _usage_error(error, assigned) from None


def _usage_error(error: ValidationError, assigned: Mapping[str, Assigned]) -> UsageError:
    lines, places, mends = [], [], []
    for problem in error.errors(include_url=False, include_context=False):
        path = ".".join(map(str, problem["loc"]))
        message, _, mend = problem["msg"].removeprefix("Value error, ").partition("; mend: ")
        setting = next((name for name in all_keys() if path == name or path.startswith(f"{name}.")), "")
        lines.append(f"{path or 'settings'}{_shown(setting, path, problem['input'])}: {message}")
        places += _places(path, setting, message, assigned)
        mends.append(mend or f"see `{' '.join(filter(None, ('eternal config explain', setting or path)))}`")
    return UsageError("; ".join(lines), where=", ".join(dict.fromkeys(places)), mend="; ".join(dict.fromkeys(mends)))


def _shown(setting: str, path: str, value: object) -> str:
    if not setting or all_keys()[setting].secret or path.startswith("keys") or isinstance(value, dict):
        return ""
    return f" = {to_text(value)}"


def _places(path: str, setting: str, message: str, assigned: Mapping[str, Assigned]) -> list[str]:
    if setting in assigned:
        return [assigned[setting].origin]
    if path:
        return [origin for name, (_, origin) in assigned.items() if name.startswith(f"{path}.")][-1:]
    # A check between branches names the settings it compares.
    return [origin for name, (_, origin) in assigned.items() if name in message]

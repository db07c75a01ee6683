"""Read one YAML file into flat assignments, refusing unknown, doubled and empty keys by file and line."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from eternal_engine.config.keys import all_keys, nearest, sections
from eternal_engine.model.errors import UsageError


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Read YAML with exact decimals: a third written with 18 digits stays what was written."""


def _construct_number(loader: Any, node: Any) -> Decimal | float:
    text = loader.construct_scalar(node)
    try:
        return Decimal(text.replace("_", ""))
    except InvalidOperation:
        return float(loader.construct_yaml_float(node))  # .inf and .nan, which no setting accepts


_Loader.add_constructor("tag:yaml.org,2002:float", _construct_number)


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML text with exact decimals; raises yaml.YAMLError."""
    # A subclass of the safe loader, which the linters cannot see.
    return yaml.load(text, Loader=_Loader)  # noqa: S506  # nosec B506


class Assigned(NamedTuple):
    """A raw value and where it was written: a file with its line, or a variable."""

    value: Any
    origin: str


def read_yaml(path: Path, allowed: frozenset[str] | None = None) -> dict[str, Assigned]:
    """Return dotted path -> value for one file; `allowed` names the top-level keys it may hold (None: all).

    Raises UsageError naming file and line for anything that is not a known setting.
    """
    return _Reader(path, allowed).read()


class _Reader:
    def __init__(self, path: Path, allowed: frozenset[str] | None) -> None:
        self.path = path
        self.allowed = allowed
        self.found: dict[str, Assigned] = {}

    def read(self) -> dict[str, Assigned]:
        try:
            self.loader = _Loader(self.path.read_text(encoding="utf-8"))
            root = self.loader.get_single_node()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"cannot read: {error}", where=str(self.path), mend="make it a readable text file"
            ) from None
        except yaml.YAMLError as error:
            line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
            problem = getattr(error, "problem", None) or str(error)
            raise UsageError(f"not YAML: {problem}", where=f"{self.path}:{line}", mend="correct this line") from None
        if root is not None:
            self._walk(root, "")
        return self.found

    def _walk(self, node: Any, prefix: str) -> None:
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, f"{prefix.rstrip('.') or 'the file'} must be a mapping of keys")
        seen: set[str] = set()
        for name_node, value_node in node.value:
            name = str(name_node.value)
            path = f"{prefix}{name}"
            if name in seen:
                raise self._error(name_node, f"{path} is written twice", "keep one of them")
            seen.add(name)
            self._check_allowed(name_node, path)
            self._take(path, name_node, value_node)

    def _take(self, path: str, name_node: Any, value_node: Any) -> None:
        empty = isinstance(value_node, yaml.ScalarNode) and value_node.tag.endswith(":null")
        if path in sections():
            if not empty:
                self._walk(value_node, f"{path}.")
        elif path not in all_keys():
            raise self._unknown(name_node, path)
        elif empty:
            raise self._error(name_node, f"{path} has no value", "give it one, or remove the line for the default")
        else:
            self._refuse_double_keys(value_node)
            value = self._construct(value_node)
            self.found[path] = Assigned(value, f"{self.path}:{name_node.start_mark.line + 1}")

    def _construct(self, node: Any) -> Any:
        try:
            return self.loader.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError) as error:
            raise self._error(node, f"cannot read this value: {error}") from None

    def _refuse_double_keys(self, node: Any) -> None:
        if not isinstance(node, yaml.MappingNode):
            return
        names = [name_node.value for name_node, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise self._error(node, f"{name} is written twice", "keep one of them")

    def _check_allowed(self, node: Any, path: str) -> None:
        top = path.partition(".")[0]
        if top == "keys" or (path in all_keys() and all_keys()[path].secret):
            mend = "put it into .env.local or the environment, and revoke the key if the file was ever shared"
            what = "API keys do" if top == "keys" else f"{path} does"
            raise self._error(node, f"{what} not belong in a file that is committed", mend)
        if self.allowed is not None and top not in self.allowed:
            if path in all_keys() or path in sections():
                raise self._error(
                    node, f"{path} does not belong in this file", f"only {', '.join(sorted(self.allowed))}"
                )
            raise self._unknown(node, path)

    def _unknown(self, node: Any, path: str) -> UsageError:
        close = nearest(path, [*all_keys(), *sections()])
        mend = f"did you mean {close}?" if close else "`eternal config explain` lists the keys"
        return self._error(node, f"unknown key {path}", mend)

    def _error(self, node: Any, message: str, mend: str = "`eternal config explain` lists the keys") -> UsageError:
        return UsageError(message, where=f"{self.path}:{node.start_mark.line + 1}", mend=mend)

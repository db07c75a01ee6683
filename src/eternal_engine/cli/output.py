"""How verbs print: one JSON object on stdout, or plain aligned columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer


def print_json(value: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Print one JSON object or array, and nothing else, to stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_columns(rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows as left-aligned columns; the last column is not padded."""
    table = list(rows)
    if not table:
        return
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        padded = [cell.ljust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
        typer.echo("  ".join([*padded, row[-1]]).rstrip())

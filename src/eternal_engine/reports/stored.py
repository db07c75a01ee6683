"""Write reports as JSON and read them back; write orders as CSV. A file appears whole or not at all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from eternal_engine.files import write_whole
from eternal_engine.model.errors import DataError, UsageError
from eternal_engine.reports.report import SCHEMA, Report
from eternal_engine.reports.result import OrderRow
from eternal_engine.reports.wording import decimal_text, instant

ORDER_COLUMNS = ("decided_at", "engine", "symbol", "side", "qty", "price", "fee_usdt", "reason")


def to_json(report: Report) -> str:
    """Write the report as one JSON object without daily series, trades and events."""
    fields = vars(replace(report, detail=None)).copy()
    del fields["detail"]
    return json.dumps(fields, default=vars, indent=2, allow_nan=False)


def save(report: Report, path: Path) -> None:
    """Store the report with its details, so that it can be rendered and compared later without a new run."""
    if report.detail is None:
        raise UsageError("this report has no daily series to store", where=str(path), mend="build it with detail=True")
    write_whole(path, json.dumps(report, default=vars, allow_nan=False) + "\n")


def load(path: Path) -> Report:
    """Read a stored report; DataError when the file is missing, damaged or of another version."""
    from pydantic import TypeAdapter, ValidationError

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read the stored run: {error}", where=str(path), mend="name a file made by --save"
        ) from error
    try:
        raw: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error}", where=str(path), mend="make it again with --save") from error
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if schema != SCHEMA:
        raise DataError(
            f"not a stored run of this version: schema {schema!r}, wanted {SCHEMA}",
            where=str(path),
            mend="make it again with `eternal backtest run --save FILE`",
        )
    try:
        return TypeAdapter(Report).validate_python(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"the stored run does not fit: {place}: {first['msg']}", where=str(path), mend="make it again with --save"
        ) from error


def orders_csv(orders: Iterable[OrderRow]) -> str:
    """Write every order as a CSV line; quantities and prices as the shortest exact decimal without exponent."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(ORDER_COLUMNS)
    for row in orders:
        writer.writerow(
            (
                instant(row.decided_ms),
                row.engine,
                row.symbol,
                row.side,
                decimal_text(row.qty),
                decimal_text(row.price),
                decimal_text(row.fee_usdt),
                row.reason,
            )
        )
    return text.getvalue()

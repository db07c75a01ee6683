"""CSV cells and the rows of a statement."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from decimal import Decimal

from eternal_engine.model.event import BookEntry, Deposited
from eternal_engine.model.ids import Account, Coin, RecordId
from eternal_engine.reports.statements import TRANSFERS, transfer_rows, write_csv

AT = datetime(2023, 12, 31, 23, 59, 59, tzinfo=UTC)


def written(columns: tuple[str, ...], row: dict[str, object]) -> str:
    file = io.StringIO()
    write_csv(columns, [row], file)
    return file.getvalue().splitlines()[1]


def test_u3_cells_keep_every_digit_and_no_exponent() -> None:
    row = {"a": Decimal("1E-18"), "b": Decimal("12345678.1234567890"), "c": None, "d": AT, "e": True}
    cells = written(("a", "b", "c", "d", "e"), row)
    assert cells == "0.000000000000000001,12345678.123456789,,2023-12-31T23:59:59Z,yes"


def test_a_withdrawal_goes_outside_with_its_amount_above_zero_and_in_its_own_year() -> None:
    left: list[BookEntry] = [
        Deposited(AT, RecordId("w1"), Account.TREND, Coin("USDT"), Decimal("-12.5"), Decimal("-12.5"), AT)
    ]
    (row,) = transfer_rows(left, 2023)
    assert set(row) == set(TRANSFERS)
    assert (row["kind"], row["source"], row["target"], row["amount"]) == (
        "withdrawal", "trend", "outside", Decimal("12.5"),
    )  # fmt: skip
    assert transfer_rows(left, 2024) == []

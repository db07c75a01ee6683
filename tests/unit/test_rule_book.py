"""docs/rules.md is what the rule tables say, and every row points at things that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eternal_engine.rule_book import MODULES, RuleRow, markdown, rule_rows

ROOT = Path(__file__).parents[2]
ROWS = rule_rows()


def test_the_document_is_what_the_tables_say() -> None:
    written = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    assert written == markdown(ROWS), "docs/rules.md has drifted: run `make docs`"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.id}-{row.file.rsplit('/', 1)[-1]}")
def test_every_rule_names_a_test_that_exists(row: RuleRow) -> None:
    assert row.sentence.endswith(".")
    assert row.tests, f"{row.id} in {row.file} names no test"
    for test in row.tests:
        path, _, name = test.partition("::")
        source = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"def {re.escape(name)}\b", source), f"{row.id}: {test} does not exist"


def test_every_module_with_a_rule_table_is_in_the_book() -> None:
    tables = {
        path.relative_to(ROOT / "src" / "eternal_engine").with_suffix("").as_posix().replace("/", ".")
        for path in (ROOT / "src" / "eternal_engine").rglob("*.py")
        if re.search(r"^RULES\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert tables == set(MODULES)


def test_no_module_registers_a_rule_twice() -> None:
    places = [(row.id, row.file) for row in ROWS]
    assert len(places) == len(set(places))

"""The document's lists are written from the code (ETERNAL_WRITE_DOCS=1), and drift fails here."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from eternal_engine.exchange.bybit.errors import CATALOGUE, Entry
from eternal_engine.exchange.capability import CAPABILITIES, Capability, Environment

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "exchange-client.md"


def codes() -> str:
    entries: list[Entry] = list(dict.fromkeys(CATALOGUE.values()))
    rows = [
        f"| {', '.join(str(code) for code in entry.codes)} | {entry.meaning} | {entry.outcome.value} |"
        for entry in entries
    ]
    return "\n".join(["| codes | meaning | what the daemon does |", "|---|---|---|", *rows])


def capabilities() -> str:
    names = list(Environment)
    rows = []
    for capability in Capability:
        held = ["yes" if CAPABILITIES[name].has(capability) else "no" for name in names]
        without = CAPABILITIES[Environment.DEMO].instead(capability)
        rows.append(f"| {capability.value.replace('_', ' ')} | {' | '.join(held)} | {without} |")
    head = f"| call | {' | '.join(name.value for name in names)} | without it |"
    return "\n".join([head, "|---" * (len(names) + 2) + "|", *rows])


def section(text: str, name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)\n?<!-- /{name} -->", text, re.DOTALL)
    assert found is not None
    return found.group(1)


@pytest.mark.parametrize(("name", "written"), [("codes", codes()), ("capabilities", capabilities())])
def test_the_document_lists_what_the_code_does(name: str, written: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    if os.environ.get("ETERNAL_WRITE_DOCS") == "1":
        old = f"<!-- {name} -->\n{section(text, name)}\n<!-- /{name} -->".replace("\n\n<!-- /", "\n<!-- /")
        text = text.replace(old, f"<!-- {name} -->\n{written}\n<!-- /{name} -->")
        DOCUMENT.write_text(text, encoding="utf-8")
    assert section(text, name) == written


def test_every_fact_of_the_document_names_a_test_that_exists() -> None:
    rows = section(DOCUMENT.read_text(encoding="utf-8"), "facts").splitlines()[2:]
    assert [int(row.split()[1]) for row in rows] == list(range(1, 21))
    for row in rows:
        for path, name in re.findall(r"`(tests/[^:`]+)::([^`]+)`", row):
            assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), row
        assert "::" in row or row.rstrip().endswith("| - |")


def test_the_matrix_has_no_failure_and_at_least_150_cases() -> None:
    text = (ROOT / "docs" / "contract-matrix.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| case")]
    assert len(rows) >= 150
    assert "FAILED" not in text
    assert all(row.split("|")[2].strip() == "yes" for row in rows)


def test_the_matrix_lists_every_contract_test() -> None:
    text = (ROOT / "docs" / "contract-matrix.md").read_text(encoding="utf-8")
    listed = {re.split(r" \[| \|", line[2:])[0] for line in text.splitlines() if re.match(r"\| \w+: ", line)}
    written = set()
    for path in (ROOT / "tests" / "contract").glob("test_*_contract.py"):
        area = path.stem.removeprefix("test_").removesuffix("_contract")
        for name in re.findall(r"^async def test_(\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            written.add(f"{area}: {name.replace('_', ' ')}")
    assert listed == written, "refresh it: ETERNAL_WRITE_MATRIX=1 .venv/bin/pytest -q tests/contract"

"""The operator's documents name settings and files that are there, and say what to do about every alert."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eternal_engine.config.keys import keys_by_env

ROOT = Path(__file__).parents[3]
DOCS = [ROOT / "docs" / f"{name}.md" for name in ("user-guide", "runbook", "restore-drill", "lessons-learned")]
OBSERVE = ROOT / "src" / "eternal_engine" / "observe"
# Where the runbook says what to do, by the kind that stands in the log.
ENTRIES = {
    "breaker_changed": "### circuit breaker",
    "breaker_released": "### circuit breaker",
    "order_failed": "### order ... failed",
    "foreign_fill": "not our order",
    "mismatch": "### mismatch",
    "orphan": "### orphan",
    "connection_lost": "### offline",
    "connection_restored": "### offline",
    "loss_limit_hit": "### loss limit",
    "margin_low": "### the pair is too small to be cut",
    "error_occurred": "## Errors in the log",
    "arming_expires": "### the arming expires",
    "arming_expired": "### the arming expires",
    "noted": "## Alerts",
    "daily_summary": "## Alerts",
}


@pytest.mark.parametrize("document", DOCS, ids=lambda document: document.name)
def test_every_variable_and_link_in_a_document_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert set(re.findall(r"\b(ETERNAL_[A-Z0-9_]+)=", text)) <= set(keys_by_env())
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (document.parent / link).exists(), link
    for script in re.findall(r"\bscripts/[\w.-]+", text):
        assert (ROOT / script).exists(), script


def test_every_alert_has_an_entry_in_the_runbook() -> None:
    source = (OBSERVE / "alert_policy.py").read_text(encoding="utf-8")
    kinds = set(re.findall(r'Alert\(\s*"(\w+)"', source)) | {"orphan", "mismatch"}
    assert kinds <= set(ENTRIES), kinds - set(ENTRIES)
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    for kind, entry in ENTRIES.items():
        assert entry in runbook, kind
    assert "### liquidation" in runbook

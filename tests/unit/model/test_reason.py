"""Every reason has a rule id and words, and no two share a number (RISK-0: a denial names its rule)."""

from __future__ import annotations

import pytest

from eternal_engine.model import reason

CODES = {name: value for name, value in vars(reason).items() if name.isupper() and isinstance(value, int)}
del CODES["COUNT"]


def test_every_reason_has_a_number_of_its_own_and_a_text() -> None:
    assert len(set(CODES.values())) == len(CODES)
    assert set(CODES.values()) == set(reason.TEXT)
    assert max(CODES.values()) < reason.COUNT


@pytest.mark.parametrize(
    ("code", "rule", "words"),
    [
        (reason.NONE, "", ""),
        (reason.TREND_STOP, "TREND-X2", "TREND-X2 stop touched"),
        (reason.RISK_7_KELLY, "RISK-7", "RISK-7 Kelly cap"),
    ],
)
def test_a_reason_is_said_as_its_rule_and_its_words(code: int, rule: str, words: str) -> None:
    assert (reason.rule_id(code), reason.words(code)) == (rule, words)

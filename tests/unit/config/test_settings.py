"""The settings tree: units of money and fractions, and the order of symbols (U-1, CAP-3)."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from core_builders import TEN
from eternal_engine.bootstrap import params_of
from eternal_engine.config.keys import all_keys
from eternal_engine.config.settings import Settings
from hour_scene import Scene


@pytest.mark.parametrize(
    ("branch", "setting", "wrong", "mend"),
    [
        ("risk", "daily_loss_frac", "5", "use 0.05 for 5 %"),
        ("trend", "risk_frac", "2", "use 0.02 for 2 %"),
        ("funding", "exit_basis_frac", "1.5", "use 0.015 for 1.5 %"),
    ],
)
def test_u_1_a_fraction_above_one_is_refused_with_the_mend(branch: str, setting: str, wrong: str, mend: str) -> None:
    with pytest.raises(ValidationError, match=mend):
        Settings.model_validate({branch: {setting: wrong}})


def test_u_1_no_setting_speaks_of_percent() -> None:
    names = set(all_keys())
    assert not {name for name in names if "pct" in name or "percent" in name}
    assert {name for name in names if name.startswith("costs.")} >= {"costs.slippage_bps", "costs.spot_fee_bps"}
    assert all(entry.unit == "basis points" for name, entry in all_keys().items() if name.endswith("_bps"))
    assert all(entry.unit.startswith("fraction") for name, entry in all_keys().items() if name.endswith("_frac"))


def test_cap_3_symbols_are_decided_in_the_order_of_the_list() -> None:
    assert tuple(Settings().symbols) == TEN
    assert [intent.symbol for intent in Scene().decide().intents] == [0, 1]
    # Another order of the list is another order of all that is decided by it.
    turned = Settings.model_validate({"symbols": TEN[::-1]})
    weights = params_of(turned).core.weights
    assert weights.tolist() == params_of(Settings()).core.weights[::-1].tolist()

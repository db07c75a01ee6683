"""What the rules computed becomes exact, at one door."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eternal_engine.model.conversion import exact_from_float
from eternal_engine.model.errors import ModelError


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_u_3_a_float_becomes_the_shortest_decimal_that_means_it(number: float) -> None:
    found = exact_from_float(number)
    assert float(found) == number
    assert exact_from_float(np.float64(number)) == found


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_u_3_a_float_that_is_no_amount_is_refused(number: float) -> None:
    with pytest.raises(ModelError, match="not a finite number") as caught:
        exact_from_float(number, where="equity")
    assert caught.value.where == "equity"
    with pytest.raises(ModelError) as nowhere:
        exact_from_float(number)
    assert nowhere.value.where == ""

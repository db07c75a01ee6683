"""The kinds of value a setting can have, and `key`, which documents one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from eternal_engine.model.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "U-1",
        "Money is USDT; settings hold fractions and basis points, and a fraction above 1 is refused with what to write "
        "instead.",
        (),
        ("tests/unit/config/test_settings.py::test_u_1_a_fraction_above_one_is_refused_with_the_mend",),
    ),
)

SUM_TOLERANCE = Decimal("1e-9")


class Section(BaseModel):
    """Hold one branch of the settings tree: frozen, and without room for keys nobody declared."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=False, defer_build=True
    )


def key(default: Any, sentence: str, *, unit: str, rules: str = "", **limits: Any) -> Any:
    """Declare one setting: its default, one sentence, its unit and the rule ids it serves (spaces between).

    `limits` are pydantic's (ge, gt, le, lt, min_length, max_length, default_factory).
    """
    extra: dict[str, Any] = {"unit": unit, "rules": rules.split()}
    if "default_factory" in limits:
        return Field(description=sentence, json_schema_extra=extra, **limits)
    return Field(default, description=sentence, json_schema_extra=extra, **limits)


def _refuse_above_one(value: Decimal) -> Decimal:
    if value > 1:
        raise ValueError(f"a fraction is at most 1; mend: use {value / 100} for {value} %")
    if value < 0:
        raise ValueError("a fraction is at least 0")
    return value


def _refuse_above_ten(value: Decimal) -> Decimal:
    if value > 10:
        raise ValueError(f"a gain is at most 10 (1000 %); mend: use {value / 100} for {value} %")
    if value <= 0:
        raise ValueError("a gain is above 0")
    return value


Frac = Annotated[Decimal, AfterValidator(_refuse_above_one)]
Gain = Annotated[Decimal, AfterValidator(_refuse_above_ten)]
Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,20}$")]


class Weights(Mapping[str, Decimal]):
    """Map symbols to fractions that sum to 1 within 1e-9; immutable, hashable and picklable."""

    __slots__ = ("_fractions",)

    def __init__(self, fractions: Mapping[str, Decimal]) -> None:
        self._fractions = dict(fractions)

    def __getitem__(self, symbol: str) -> Decimal:
        return self._fractions[symbol]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fractions)

    def __len__(self) -> int:
        return len(self._fractions)

    def __hash__(self) -> int:
        return hash(frozenset(self._fractions.items()))

    def __repr__(self) -> str:
        return f"Weights({self._fractions!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        fractions = handler.generate_schema(dict[Symbol, Frac])
        return core_schema.no_info_after_validator_function(
            cls._checked,
            fractions,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda weights: dict(weights), return_schema=fractions
            ),
        )

    @classmethod
    def _checked(cls, fractions: dict[str, Decimal]) -> Weights:
        check_sum_is_one("the weights", fractions)
        return cls(fractions)


def check_sum_is_one(what: str, parts: Mapping[str, Decimal]) -> None:
    """Raise ValueError naming the sum unless `parts` sum to 1 within 1e-9 (CAP-1)."""
    total = sum(parts.values(), Decimal(0))
    if abs(total - 1) > SUM_TOLERANCE:
        raise ValueError(f"{what} must sum to 1 but sum to {total}")


def check_ascending(what: str, values: tuple[Decimal, ...]) -> None:
    """Raise ValueError unless each value is above the one before it."""
    if any(later <= earlier for earlier, later in pairwise(values)):
        raise ValueError(f"{what} must ascend, but are {', '.join(map(str, values))}")


def decimals(*texts: str) -> tuple[Decimal, ...]:
    """Make exact decimals from their texts."""
    return tuple(map(Decimal, texts))


def weights(**fractions: str) -> Weights:
    """Make weights from symbol=text pairs."""
    return Weights({symbol: Decimal(text) for symbol, text in fractions.items()})


def metadata(extra: object) -> dict[str, Any]:
    """Give the unit and rules that `key` stored in a field's `json_schema_extra`."""
    return cast("dict[str, Any]", extra) if isinstance(extra, dict) else {}

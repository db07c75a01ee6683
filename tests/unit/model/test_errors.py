"""The error tree: what each class carries and which exit code it means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from eternal_engine.model import errors
from eternal_engine.model.errors import BadReply, EternalError, ExchangeError, JournalBroken, RateLimited


def test_an_error_says_what_where_and_the_mend() -> None:
    assert str(EternalError("what")) == "what"
    assert str(EternalError("what", where="here")) == "what (at here)"
    assert str(EternalError("what", where="here", mend="this")) == "what (at here); to mend: this"
    error = EternalError("what", where="here", mend="this")
    assert (error.message, error.where, error.mend) == ("what", "here", "this")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("EternalError", 1),
        ("UsageError", 2),
        ("DataError", 3),
        ("RefusedError", 4),
        ("LockHeld", 4),
        ("ModelError", 1),
        ("StorageError", 1),
        ("SchemaError", 4),
        ("ExchangeError", 1),
        ("HaltTrading", 1),
    ],
)
def test_exit_codes_belong_to_classes(name: str, code: int) -> None:
    assert getattr(errors, name).exit_code == code


def test_every_class_of_the_tree_is_drawn_in_its_document() -> None:
    classes = {n for n, c in vars(errors).items() if isinstance(c, type) and issubclass(c, EternalError)}
    drawn = {word for word in str(errors.__doc__).replace("├──", " ").replace("└──", " ").split() if word in classes}
    assert drawn == classes


def test_special_errors_carry_what_their_handler_needs() -> None:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    limited = RateLimited("slow down", reset_at=at, code=10006, where="order create", mend="wait")
    assert (limited.reset_at, limited.code, limited.where, limited.mend) == (at, 10006, "order create", "wait")
    bad = BadReply("not a number", field="qty", value="x", code=0, where="order", mend="report it")
    assert (bad.field, bad.value, bad.code, bad.where, bad.mend) == ("qty", "x", 0, "order", "report it")
    broken = JournalBroken("edited", seq=7, where="journal", mend="restore")
    assert (broken.seq, broken.where, broken.mend) == (7, "journal", "restore")
    assert ExchangeError("no", code=5, where="w", mend="m").code == 5
    assert issubclass(errors.SymbolPaused, errors.RejectedForGood)


def test_what_is_not_known_stays_empty_and_the_message_is_what_python_shows() -> None:
    made = (EternalError("no"), ExchangeError("no"), RateLimited("no"), BadReply("no"), JournalBroken("no", seq=7))
    for error in made:
        assert (str(error), error.args, error.message, error.where, error.mend) == ("no", ("no",), "no", "", "")
        assert getattr(error, "code", None) is None
        assert (getattr(error, "field", ""), getattr(error, "value", "")) == ("", "")

"""Let text reach terminals that do not speak UTF-8: dashes and lines become plain, nothing else is lost."""

from __future__ import annotations

import codecs
import sys
from typing import Final

# By what is seen, not by what it means: a dash for "nothing" must not become the question mark of "unknown".
_PLAIN: Final = {"–": "-", "—": "-", "─": "-", "━": "-", "│": "|", "┃": "|", "…": "~", "·": ".", "•": "*"}
_HANDLER: Final = "eternal-plain"


def be_plain_where_needed() -> None:
    """Have stdout and stderr write what their encoding lacks in plain characters, where they are not UTF-8."""
    codecs.register_error(_HANDLER, _plain)
    for stream in (sys.stdout, sys.stderr):
        encoding = getattr(stream, "encoding", None) or "utf-8"
        if codecs.lookup(encoding).name != "utf-8" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_HANDLER)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end

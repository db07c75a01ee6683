"""Keep secrets out of everything that is written: by their value, by their field's name, and inside addresses."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus, urlsplit

MASK: Final = "***"
# Shorter texts occur by chance in numbers and words: masking them would make a log unreadable and hide nothing.
SHORTEST: Final = 6

_SECRET_NAME = re.compile(
    r"secret|password|passwd|credential|authori[sz]ation|cookie|(?:api|access|auth|bot|private)[-_]?(?:key|token)"
    r"|^(?:x-bapi-)?sign(?:ature)?$|^token$|^keys?$",
    re.IGNORECASE,
)
_USER_IN_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s\"'@]+@", re.IGNORECASE)
_SECRET_IN_TEXT = re.compile(
    r"(?P<name>(?:api[-_]?|access[-_]?|auth[-_]?|bot[-_]?|x-bapi-)?(?:key|secret|token|sign(?:ature)?)|password|passwd)"
    r"(?P<is>[\"']?\s*(?:=|:(?!//))\s*[\"']?)(?P<value>[A-Za-z0-9+/_.~%=-]{16,})",
    re.IGNORECASE,
)


class Redactor:
    """Mask known secrets, in each form in which a library may write them, and what looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        # Longest first: one secret may be the beginning of another.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, written: str) -> str:
        """Mask the secrets in a text."""
        if self._known is not None:
            written = self._known.sub(MASK, written)
        if "://" in written:
            written = _USER_IN_ADDRESS.sub(rf"\g<scheme>{MASK}@", written)
        return _SECRET_IN_TEXT.sub(rf"\g<name>\g<is>{MASK}", written)

    def value(self, value: Any) -> Any:
        """Mask the secrets anywhere in a nested value; fields with a secret's name lose their value whole."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {key: MASK if _hides(key, item) else self.value(item) for key, item in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.value(item) for item in value]
            case None | bool() | int() | float():
                return value
            case _:
                return self.text(str(value))


def secrets_in_address(address: str) -> tuple[str, ...]:
    """Give the parts of an alert address that may be secrets: user, password, and tokens in path and query."""
    parts = urlsplit(address)
    host = [parts.netloc.rpartition("@")[2]] if parts.scheme not in ("http", "https", "json", "jsons") else []
    pieces = re.split(r"[/?&=@:]", "/".join((parts.netloc.rpartition("@")[0], parts.path, parts.query, *host)))
    return (address, *(piece for piece in pieces if len(piece) >= SHORTEST))


def _hides(name: object, value: object) -> bool:
    return bool(value) and not isinstance(value, bool) and _SECRET_NAME.search(str(name)) is not None


def _forms(secret: str) -> Iterable[str]:
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]
    yield base64.b64encode(secret.encode()).decode()

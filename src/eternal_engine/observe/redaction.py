"""Keep secrets out of everything that is written: by their value, by their field's name, and inside addresses."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
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
    """Mask known secrets, in each form in which a library may write them, and what looks like one.

    A secret that holds addresses (alert services) is masked part by part, too: a library names the token alone.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        parts = {part for secret in secrets for part in (secret, *_in_addresses(secret))}
        forms = {form for part in parts if len(part) >= SHORTEST for form in _forms(part)}
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


def without_secret_fields(value: Any) -> Any:
    """Mask, anywhere in a nested value, the fields whose name says that they are secret; texts stay as they are."""
    match value:
        case Mapping():
            return {
                key: MASK if _says_secret(str(key)) and _holds(item) else without_secret_fields(item)
                for key, item in value.items()
            }
        case list() | tuple() | set() | frozenset():
            return [without_secret_fields(item) for item in value]
        case _:
            return value


def _in_addresses(secret: str) -> Iterable[str]:
    return (part for word in secret.split() if "://" in word for part in secrets_in_address(word))


def secrets_in_address(address: str) -> tuple[str, ...]:
    """Give the parts of an alert address that may be secrets: user, password, and long pieces of host, path and query.

    Short pieces are words like `alerts`, which a log must not lose.
    """
    parts = urlsplit(address)
    login, _, host = parts.netloc.rpartition("@")
    # Of a service's own scheme (tgram://TOKEN/CHAT) the first part is a token; elsewhere it is a host.
    hosts = [] if parts.scheme in ("http", "https", "json", "jsons", "xml", "xmls") else [host]
    pieces = [piece for piece in re.split(r"[/?&=]", "/".join((*hosts, parts.path, parts.query))) if len(piece) >= 12]
    return (address, *(word for word in login.split(":") if len(word) >= SHORTEST), *pieces)


# Names come from the code: there are few, and each is asked about thousands of times.
@lru_cache(maxsize=4096)
def _says_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _holds(value: object) -> bool:
    return bool(value) and not isinstance(value, bool)


def _forms(secret: str) -> Iterable[str]:
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield base64.b64encode(secret.encode()).decode()

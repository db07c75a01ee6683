"""Who sent a request: key, clock and signature, checked over the raw bytes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from eternal_engine.simulator.venue import Account, Venue, VenueReject

DEFAULT_WINDOW_MS = 5_000
AHEAD_MS = 1_000


class MissingHeaders(Exception):
    """Refuse a private request that carries no credentials at all (HTTP 401)."""


def authenticate(venue: Venue, headers: Mapping[str, str], payload: bytes, wall_ms: int) -> Account:
    """Find the account that signed `payload`: the raw query string of a GET, the raw body of a POST."""
    key = headers.get("X-BAPI-API-KEY", "")
    stamp = headers.get("X-BAPI-TIMESTAMP", "")
    sign = headers.get("X-BAPI-SIGN", "")
    window = headers.get("X-BAPI-RECV-WINDOW", "") or str(DEFAULT_WINDOW_MS)
    if not key and not sign:
        raise MissingHeaders
    account = venue.account_of_key(key)
    check_time(stamp, window, wall_ms)
    origin = f"{stamp}{key}{window}".encode() + payload
    if not matches(account.api_secret, origin, sign):
        shown = origin.decode("utf-8", "replace")
        raise VenueReject(
            10004,
            "error sign! origin_string[" + shown + "], please check your signature generation algorithm.",
        )
    return account


def check_time(stamp: str, window: str, wall_ms: int) -> None:
    """Refuse a request from outside [now - recv_window, now + 1 s)."""
    if not (is_digits(stamp) and is_digits(window)):
        raise VenueReject(10001, "params error: timestamp or recv_window invalid")
    if not wall_ms - int(window) <= int(stamp) < wall_ms + AHEAD_MS:
        raise VenueReject(
            10002,
            "invalid request, please check your server timestamp or recv_window param. "
            f"req_timestamp[{stamp}],server_timestamp[{wall_ms}],recv_window[{window}]",
        )


def matches(secret: str, text: bytes, sign: str) -> bool:
    """Compare a signature in constant time."""
    mine = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
    return hmac.compare_digest(mine.encode(), sign.encode("utf-8", "replace"))


def is_digits(text: str) -> bool:
    """Tell whether a text is a plain number of up to 20 digits, not digits of another script."""
    return text.isascii() and text.isdigit() and len(text) <= 20

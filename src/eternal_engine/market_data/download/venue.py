"""Ask an exchange for history through CCXT. The only place that knows CCXT, its errors and its traps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import ccxt
import stamina

from eternal_engine import clock
from eternal_engine.market_data.datasets import FUNDING, PERP, Dataset
from eternal_engine.market_data.history import HOUR_MS
from eternal_engine.model.errors import DataError, UsageError

Row = list[float]  # stamp in ms, then the dataset's columns (funding: only the rate)

CANDLES_PER_PAGE = 1000
RATES_PER_PAGE = 200
# Both answer a window of hourly candles in full up to these page sizes; another exchange may cut it silently.
FIRST_MS = {"bybit": 1_541_030_400_000, "binance": 1_500_249_600_000}  # 2018-11-01, 2017-07-17
_BUSY_CODES = ('"retCode":10000', '"retCode":10016')  # CCXT calls these final; they mean "try again later"
_LONGEST_WAIT_S = 300.0


class Unreachable(DataError):
    """Report an exchange that did not answer properly, however often it was asked."""


class NoMarket(DataError):
    """Report an exchange that has no such market."""


class _Unreadable(ccxt.NetworkError):  # type: ignore[misc]  # CCXT has no types
    """Report an answer that is not JSON of the known form; CCXT takes it for an empty list."""


@dataclass(frozen=True)
class Patience:
    """Say how often and how long to try again after a passing failure; waits double from first to longest."""

    attempts: int = 7
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0

    def tries(self, wait_after: Callable[[Exception], bool | float]) -> Iterable[stamina.Attempt]:
        """Give one attempt after another while `wait_after` says of a failure that it passes, or how long to wait."""
        return stamina.retry_context(
            on=wait_after,
            attempts=self.attempts,
            timeout=None,
            wait_initial=self.first_wait_s,
            wait_max=self.longest_wait_s,
            wait_jitter=self.first_wait_s,
        )


class Venue:
    """Fetch candles and funding rates of one exchange, at the pace it allows."""

    def __init__(self, name: str, *, api_url: str = "", patience: Patience | None = None) -> None:
        """Prepare the client of `bybit` or `binance`; `api_url` replaces scheme and host of every address."""
        if name not in FIRST_MS:
            raise UsageError(
                f"no download from {name!r}", where="--exchange or --fallback", mend=f"use {' or '.join(FIRST_MS)}"
            )
        self.name = name
        self.first_ms = FIRST_MS[name]
        self._patience = patience or Patience()
        self._client: Any = getattr(ccxt, name)({"enableRateLimit": True, "timeout": 20_000})
        self._client.options["fetchMarkets"] = {"types": ["spot", "linear"]}
        self._client.enableLastResponseHeaders = True
        self._client.requests_trust_env = not api_url
        self._client.session.trust_env = not api_url
        self._unreadable = False
        self._parse = self._client.parse_json
        self._client.parse_json = self._parse_noting
        if api_url:
            self._client.urls["api"] = {key: _moved(url, api_url) for key, url in self._client.urls["api"].items()}

    def market(self, dataset: Dataset, symbol: str) -> str:
        """Give CCXT's name of a symbol's market (BTCUSDT: BTC/USDT or BTC/USDT:USDT). Raises NoMarket."""
        if self._client.markets is None:
            # Reloaded at each try: CCXT would keep the half of a list that came with an unreadable answer.
            self._asked("the list of markets", lambda: self._client.load_markets(True))
        wants_perp = dataset in (PERP, FUNDING)
        for market in self._client.markets_by_id.get(symbol, []):
            if market.get("linear" if wants_perp else "spot"):
                return str(market["symbol"])
        kind = "perpetual" if wants_perp else "spot market"
        raise NoMarket(f"{self.name} has no {kind} {symbol}", mend="correct the symbol, or leave it out of --symbols")

    def candles(self, market: str, start_ms: int, end_ms: int) -> list[Row]:
        """Fetch the hourly candles that open in [start_ms, end_ms), oldest first, the open candle included."""
        rows: list[Row] = self._asked(
            f"candles of {market}",
            lambda: self._client.fetch_ohlcv(
                market, "1h", since=start_ms, limit=CANDLES_PER_PAGE, params={"until": end_ms - 1}
            ),
        )
        return [row for row in rows if start_ms <= row[0] < end_ms]

    def rates(self, market: str, start_ms: int, end_ms: int) -> list[Row]:
        """Fetch the funding settlements in [start_ms, end_ms), oldest first; a full page is split and asked again."""
        found: list[dict[str, Any]] = self._asked(
            f"funding of {market}",
            lambda: self._client.fetch_funding_rate_history(
                market, since=start_ms, limit=RATES_PER_PAGE, params={"until": end_ms - 1}
            ),
        )
        if len(found) >= RATES_PER_PAGE and end_ms - start_ms > RATES_PER_PAGE * HOUR_MS:
            middle_ms = (start_ms + end_ms) // 2 // HOUR_MS * HOUR_MS
            return self.rates(market, start_ms, middle_ms) + self.rates(market, middle_ms, end_ms)
        rows = [[int(row["timestamp"]), float(row["fundingRate"])] for row in found]
        return [row for row in sorted(rows) if start_ms <= row[0] < end_ms]

    def _asked(self, what: str, call: Callable[[], Any]) -> Any:
        """Call CCXT, again after passing failures; translate what is left into our errors."""
        try:
            for attempt in self._patience.tries(self._wait_after):
                with attempt:
                    self._unreadable = False
                    answer = call()
                    self._check_form(what)
        except ccxt.BadSymbol as error:
            raise NoMarket(f"{self.name} has no market for {what}", mend="leave it out of --symbols") from error
        except ccxt.BaseError as error:
            passing = isinstance(error, ccxt.NetworkError)
            kind = Unreachable if passing else DataError
            mend = "run the same command again later, it goes on where it stopped" if passing else "read the message"
            raise kind(f"{self.name} did not give {what}: {_short(error)}", mend=mend) from error
        return answer

    def _parse_noting(self, text: str) -> Any:
        """Parse a body as CCXT does, but note when it has not the known form, which CCXT passes over in silence."""
        body = self._parse(text)
        self._unreadable |= not _FORMS[self.name](body)
        return body

    def _check_form(self, what: str) -> None:
        """Refuse what was noted: CCXT returned no rows for it, which would be stored as a gap."""
        if self._unreadable:
            raise _Unreadable(f"the answer to {what} is not what {self.name} is known to send")

    def _wait_after(self, error: Exception) -> bool | float:
        """Say whether to try again, and after how many seconds if the exchange said so."""
        busy = any(code in str(error).replace(" ", "") for code in _BUSY_CODES)
        if not isinstance(error, ccxt.NetworkError) and not busy:
            return False
        headers = {key.lower(): value for key, value in (self._client.last_response_headers or {}).items()}
        wait_s = _asked_wait_s(headers) if isinstance(error, ccxt.RateLimitExceeded) else None
        return True if wait_s is None else wait_s


def _is_bybit_form(body: Any) -> bool:
    """Accept an error (CCXT raises it) or a result with its list."""
    if not isinstance(body, dict) or "retCode" not in body:
        return False
    result = body.get("result")
    return body["retCode"] != 0 or (isinstance(result, dict) and isinstance(result.get("list"), list))


def _is_binance_form(body: Any) -> bool:
    """Accept rows, a list of markets, or an error (CCXT raises it)."""
    return isinstance(body, list) or (isinstance(body, dict) and ("symbols" in body or "code" in body))


_FORMS: dict[str, Callable[[Any], bool]] = {"bybit": _is_bybit_form, "binance": _is_binance_form}


def _asked_wait_s(headers: dict[str, str]) -> float | None:
    """Read how long the exchange asks to wait, in seconds: Retry-After, or Bybit's reset stamp in ms."""
    try:
        if "retry-after" in headers:
            return min(max(float(headers["retry-after"]), 0.0), _LONGEST_WAIT_S)
        if "x-bapi-limit-reset-timestamp" in headers:
            left_s = (int(headers["x-bapi-limit-reset-timestamp"]) - clock.now_ms()) / 1000
            # A stamp already past still means "slow down".
            return min(max(left_s, 0.1), _LONGEST_WAIT_S)
    except ValueError:
        return None
    return None


def _moved(url: Any, api_url: str) -> Any:
    if not isinstance(url, str):
        return url
    return api_url.rstrip("/") + urlsplit(url.replace("{hostname}", "host")).path


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

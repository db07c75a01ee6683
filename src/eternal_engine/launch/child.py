"""The embedded exchange as a child process: started, watched, started again, and ended with the daemon."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from eternal_engine.launch.files import CHILD_LOG, VENUE_FILE
from eternal_engine.launch.markets import Market, MarketKind
from eternal_engine.model.errors import DataError, EternalError, RefusedError, UsageError

if TYPE_CHECKING:
    import aiohttp

    from eternal_engine.config import Settings
    from eternal_engine.portfolio.features import Moods

START_S: Final = 60.0
STOP_S: Final = 1.5
LOOK_S: Final = 5.0
TAIL_CHARS: Final = 2_000
HTTP_OK: Final = 200
_ERRORS: Final[Mapping[int, type[EternalError]]] = {2: UsageError, 3: DataError, 4: RefusedError}


@dataclass(frozen=True, slots=True)
class Greeting:
    """Hold what the exchange says once it accepts connections: where, and the keys by account name (MASTER, ...).

    Nothing happened in its accounts before `opened_at`.
    """

    rest_url: str
    private_url: str
    keys: Mapping[str, tuple[str, str]]
    uids: Mapping[str, str]
    venue_time: datetime
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Costs:
    """Hold what the configuration says that trading costs, in basis points (U-9)."""

    slippage_bps: Decimal
    spot_fee_bps: Decimal
    perp_fee_bps: Decimal


class ChildExchange:
    """Run `eternal simulator serve` beside the daemon, always on the port it got first, so that clients find it again.

    It ends by itself when the daemon dies (--with-parent), and keeps its state in its own file in any case.
    """

    def __init__(self, market: Market, state: Path, log: Path, deposit_usdt: Decimal, costs: Costs) -> None:
        self._market = market
        self._state = state
        self._log = log
        self._deposit_usdt = deposit_usdt
        self._costs = costs
        self._port = 0
        self._process: Process | None = None
        self._is_on_its_way = False
        self._http: aiohttp.ClientSession | None = None
        self._greeting: Greeting | None = None

    @property
    def greeting(self) -> Greeting:
        """Give what it said at its start."""
        assert self._greeting is not None
        return self._greeting

    @property
    def pid(self) -> int | None:
        """Give the process id, None while it does not run."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    def command(self) -> list[str]:
        """Give the command line."""
        market = self._market
        command = [sys.executable, "-m", "eternal_engine", "simulator", "serve", "--with-parent", "--json"]
        command += ["--port", str(self._port), "--market", market.name, "--state", str(self._state)]
        command += ["--deposit", format(self._deposit_usdt, "f")]
        for name, bps in asdict(self._costs).items():
            command += [f"--{name.replace('_', '-')}", format(bps, "f")]
        if market.kind is MarketKind.LIVE:
            return command
        command += ["--seed", str(market.seed)]
        # Other speeds than real time are the daemon's doing, step by step, and know no requests per second.
        command += ["--speed", "1"] if market.speed == 1 else ["--speed", "0", "--no-limits"]
        if market.start_ms is not None:
            command += ["--start", datetime.fromtimestamp(market.start_ms / 1000, UTC).isoformat()]
        return command

    async def launch(self) -> None:
        """Start the process and do not wait for it: `start` does."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            # A session of its own: Ctrl-C is the daemon's, which ends the exchange after its own last call.
            self._process = await asyncio.create_subprocess_exec(
                *self.command(), stdin=DEVNULL, stdout=PIPE, stderr=log, start_new_session=True
            )
        self._is_on_its_way = True

    async def start(self) -> Greeting:
        """Start it, unless it is on its way already, and wait until it accepts connections.

        Raises the error of its exit code with its own words, DataError while live prices cannot be reached.
        """
        if not self._is_on_its_way:
            await self.launch()
        self._is_on_its_way = False
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), START_S)
        except TimeoutError:
            await self._end()
            raise EternalError(
                f"the embedded exchange did not start within {START_S:g} s", where=str(self._log), mend="see its log"
            ) from None
        if not line:
            code = await self._process.wait()
            raise _ERRORS.get(code, EternalError)(
                f"the embedded exchange did not start: {self._last_words()}", where=str(self._log), mend="see its log"
            )
        self._greeting = _read_greeting(json.loads(line))
        self._port = int(self._greeting.rest_url.rpartition(":")[2])
        return self._greeting

    async def keep(self) -> None:
        """Watch the process and start it again when it has ended; a duty for the supervisor, which logs each end."""
        if self.pid is None:
            await self.start()
        assert self._process is not None
        code = await self._process.wait()
        raise ConnectionError(f"the embedded exchange ended with code {code}; it is started again")

    async def look(self) -> int:
        """Ask for venue time in milliseconds. Raises ConnectionError or TimeoutError while it does not answer."""
        return int((await self._ask("clock"))["now_ms"])

    async def advance(self, to_ms: int) -> int:
        """Move its stepped clock to an instant and give where it stands. Raises as `look` does."""
        found = await self.look()
        if found >= to_ms:  # the answer to an earlier try was lost
            return found
        return int((await self._ask("advance", to_ms=to_ms))["now_ms"])

    async def ends_ms(self) -> int:
        """Ask where its prices end."""
        return int((await self._ask("clock"))["market_end_ms"])

    async def moods(self, end_h: int) -> Moods:
        """Ask for its market's fear-and-greed index, as known at hour `end_h` (TACT-E2)."""
        # The child is started before anything heavy is imported.
        from eternal_engine.launch.moods import moods_of

        return moods_of({int(day): float(value) for day, value in (await self._ask("sentiment"))["days"]}, end_h)

    async def audit(self) -> tuple[str, ...]:
        """Ask whether its own books balance; list what is wrong."""
        return tuple(str(row) for row in (await self._ask("audit"))["wrong"])

    async def stop(self) -> None:
        """End it in good order, or kill it."""
        if self._http is not None:
            await self._http.close()
        await self._end()

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ask(self, verb: str, **fields: int) -> dict[str, Any]:
        # Not at the top: the process is started before this one has imported anything heavy.
        import aiohttp

        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LOOK_S))
        url = f"{self.greeting.rest_url}/maintenance/{verb}"
        call = self._http.post(url, json=fields) if fields else self._http.get(url)
        try:
            async with call as reply:
                found = await reply.json()
        except (aiohttp.ClientError, ValueError) as error:
            raise ConnectionError(f"the embedded exchange does not answer: {error}") from error
        if not isinstance(found, dict) or reply.status != HTTP_OK:
            raise ConnectionError(f"the embedded exchange answered {reply.status}: {found}")
        return found

    def _last_words(self) -> str:
        text = self._log.read_text(encoding="utf-8", errors="replace")[-TAIL_CHARS:]
        errors = [line.partition("error: ")[2] for line in text.splitlines() if line.startswith("error: ")]
        return errors[-1] if errors else "no reason given"


def child_of(market: Market, settings: Settings) -> ChildExchange:
    """Give the exchange of a state directory, not started yet."""
    paths, costs = settings.paths, settings.costs
    told = Costs(costs.slippage_bps, costs.spot_fee_bps, costs.perp_fee_bps)
    return ChildExchange(market, paths.state_dir / VENUE_FILE, paths.log_dir / CHILD_LOG, settings.capital_usdt, told)


def _read_greeting(found: dict[str, Any]) -> Greeting:
    accounts = found["accounts"]
    return Greeting(
        rest_url=found["rest_url"],
        private_url=found["ws_private_url"],
        keys={row["name"]: (row["api_key"], row["api_secret"]) for row in accounts},
        uids={row["name"]: str(row["uid"]) for row in accounts},
        venue_time=datetime.fromisoformat(found["venue_time"]),
        opened_at=datetime.fromisoformat(found["opened_at"]),
    )

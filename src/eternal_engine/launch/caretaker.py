"""Keep a running daemon true to its exchange: compare at start, now and then and after every outage (ORD-6, ORD-7)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from eternal_engine import clock
from eternal_engine.config.sections import Daemon as DaemonSettings
from eternal_engine.engine.findings import Alert, Findings
from eternal_engine.engine.health import Health
from eternal_engine.engine.ownership import Owners
from eternal_engine.engine.rebuild import catch_up, owed_fills
from eternal_engine.engine.reconcile import Reconciler
from eternal_engine.engine.sender import stamp_hour
from eternal_engine.engine.supervisor import Duty
from eternal_engine.exchange.capability import Environment
from eternal_engine.exchange.port import Exchange
from eternal_engine.launch.assembly import Crew
from eternal_engine.launch.place import Place
from eternal_engine.model.errors import ExchangeError
from eternal_engine.model.event import ConnectionRestored, ErrorOccurred, Event, FundingSettled
from eternal_engine.model.ids import Account


class Caretaker:
    """Compare all accounts of a crew, and watch the line to their exchange where there is one."""

    def __init__(
        self, place: Place, crew: Crew, owners: Owners, say: Callable[[str], None], rhythm: DaemonSettings
    ) -> None:
        self._place = place
        self._crew = crew
        self._say = say
        self._rhythm = rhythm
        exchanges: Mapping[Account, Exchange] = place.ports
        self._reconciler = Reconciler(
            exchanges,
            owners,
            crew.recorder,
            place.clock.now,
            place.waiting.sleep,
            alert=self._tell,
            is_due=lambda settled: stamp_hour(settled.settled_at) <= crew.recorder.memory.cycle_h,
            later=self._hold,
            lockouts=crew.engine.lockouts,
        )
        self._alerts: list[Alert] = []
        self._health: Health | None = None

    @property
    def is_paused(self) -> bool:
        """Tell whether nothing may be sent: the exchange does not answer, or accounts are not compared yet since."""
        return self._health is not None and self._health.is_down

    @property
    def entries_wait(self) -> bool:
        """Tell whether entries must wait: no line, or a clock that is wrong."""
        return self._health is not None and self._health.entries_wait

    def duties(self, compare: Callable[[], Awaitable[None]], wake: Callable[[], None]) -> Sequence[Duty]:
        """Give what runs beside the engine over a wire.

        `compare` has the engine's own loop make a comparison, `wake` has it go on with what waited for the line.
        """
        if self._place.pumps:
            return ()  # an exchange inside this process cannot go away

        async def tell(event: Event) -> None:
            await self._journal(event)
            if isinstance(event, ConnectionRestored):
                # The pause has ended only now, after the comparison: exits must not wait for the next one.
                wake()

        is_real = self._place.environment is not Environment.PAPER
        self._health = Health(
            self._place.ports[Account.MASTER] if Account.MASTER in self._place.ports else self._any_port(),
            tell,
            compare,
            now=self._place.clock.now,
            monotonic=clock.monotonic,
            machine=clock.now if is_real else None,
            ping_every_s=self._rhythm.ping_interval_s,
        )

        async def now_and_then() -> None:
            while True:
                await asyncio.sleep(self._rhythm.reconcile_interval_s)
                try:
                    await compare()
                except ExchangeError as error:
                    await self._journal(
                        ErrorOccurred(self._place.clock.now(), error.message, "comparing the accounts", error.mend)
                    )

        return (Duty("line", self._health.run), Duty("comparison", now_and_then))

    async def compare(self) -> None:
        """Compare every account, and let the rules learn of fills whose journal was lost (CORE-12).

        A start may not have seen all of them: a list lags, or a key was refused. Before the rules know of such a fill
        nothing may be sent, or coins are bought twice, and a position is taken for a stray and closed. Raises the
        exchange branch of the error tree.
        """
        found = await self._compare()
        recorder, engine = self._crew.recorder, self._crew.engine
        if not owed_fills(recorder.projection):
            return
        stops = next((one.stops for one in found if one.account is Account.TREND), {})
        await recorder.commit(
            lambda memory, projection: catch_up(
                memory, projection, engine.params, engine.watch.features(), stops, self._place.clock.now()
            )
        )

    async def see_clock(self) -> None:
        """Learn the exchange's time before an hour is decided: this machine's clock may have been set meanwhile."""
        if self._health is not None and self._place.environment is not Environment.PAPER:
            await self._health.see_clock()

    async def take_up(self) -> None:
        """Compare at a start, before anything is sent."""
        await self.compare()

    async def _compare(self) -> tuple[Findings, ...]:
        found = await self._reconciler.run(on_record=True)
        told, self._alerts = self._alerts, []
        at = self._place.clock.now()
        if told:
            await self._crew.recorder.append(*(ErrorOccurred(at, one.what, one.where, one.mend) for one in told))
        return found

    def _tell(self, alert: Alert) -> None:
        self._alerts.append(alert)
        self._say(f"{alert.what} ({alert.where}); to mend: {alert.mend}")

    def _hold(self, account: Account, settled: tuple[FundingSettled, ...]) -> None:
        for manager in self._crew.managers.values():
            if manager.sender.account is account:
                manager.sender.hold(settled)

    async def _journal(self, event: Event) -> None:
        await self._crew.recorder.append(event)

    def _any_port(self) -> Exchange:
        return next(iter(self._place.ports.values()))

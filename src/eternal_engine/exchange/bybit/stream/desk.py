"""What a socket hands its messages to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Desk(Protocol):
    """Turn the messages of one connection into events, and make up by REST for what was missed."""

    @property
    def topics(self) -> tuple[str, ...]:
        """Return what to subscribe to."""
        ...

    def begin(self) -> None:
        """Forget everything half-merged: a new connection starts."""
        ...

    def take(self, message: Mapping[str, object]) -> None:
        """Use one message.

        Raises BadReply for one that cannot be used and MailboxFull when the consumer is too slow.
        """
        ...

    def behind(self) -> str:
        """Say why a catch-up is due now, "" when nothing is missing."""
        ...

    async def catch_up(self) -> None:
        """Read by REST what may have been missed. Raises the exchange branch of the error tree."""
        ...

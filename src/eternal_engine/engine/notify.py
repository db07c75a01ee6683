"""Tell the service manager how the daemon is: systemd's notification protocol, a datagram of lines to one socket.

Own code, because it is ten lines and a dependency would be more; without NOTIFY_SOCKET everything is silent.
"""

from __future__ import annotations

import socket
from typing import Final

_MOST_CHARS: Final = 200


class Notifier:
    """Send states to the socket named by NOTIFY_SOCKET; an empty address sends nothing.

    A socket that cannot be reached is no reason to stop trading: nothing raises.
    """

    def __init__(self, address: str = "") -> None:
        # An abstract socket is written with @ and begins with a zero byte.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def ready(self, status: str) -> None:
        """Say that start-up is complete."""
        self._send(f"READY=1\n{_status(status)}")

    def status(self, text: str) -> None:
        """Say in one line what the daemon is doing."""
        self._send(_status(text))

    def watchdog(self) -> None:
        """Say that the daemon is alive."""
        self._send("WATCHDOG=1")

    def stopping(self, why: str) -> None:
        """Say that the daemon ends."""
        self._send(f"STOPPING=1\n{_status(why)}")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
                link.setblocking(False)
                link.sendto(text.encode(), self._address)
        except OSError:
            return


def watchdog_interval_s(usec: str, pid: str, own_pid: int) -> float | None:
    """Give how often to send WATCHDOG, half of what systemd allows (WATCHDOG_USEC, WATCHDOG_PID); None: never."""
    if not usec.isdigit() or int(usec) <= 0 or (pid and pid != str(own_pid)):
        return None
    return int(usec) / 2_000_000


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())[:_MOST_CHARS]}"

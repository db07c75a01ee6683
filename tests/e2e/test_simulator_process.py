"""The embedded exchange as a process: started, killed, started again, stopped."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import HTTP

MAIN = "from eternal_engine.cli import main; main()"
FLAGS = ("simulator", "serve", "--json", "--speed", "0", "--start", "2023-03-01", "--no-limits", "--state")


class Process:
    """Hold one server process and a pybit session of its first account."""

    def __init__(self, folder: Path, *more: str) -> None:
        command = [sys.executable, "-c", MAIN, *FLAGS, str(folder / "venue.db"), *more]
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
        self.process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.greeting: dict[str, Any] = json.loads(self.process.stdout.readline())
        account = self.greeting["accounts"][0]
        self.pybit = HTTP(api_key=account["api_key"], api_secret=account["api_secret"])
        self.pybit.endpoint = self.greeting["rest_url"]

    def ledger(self) -> Any:
        """Read the whole ledger."""
        with urllib.request.urlopen(f"{self.greeting['rest_url']}/maintenance/ledger") as reply:
            return json.load(reply)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and give the exit code."""
        self.process.send_signal(number)
        return self.process.wait(10)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Start servers on one state file, and kill what is left of them."""
    made: list[Process] = []

    def run(*more: str) -> Process:
        made.append(Process(tmp_path, *more))
        return made[-1]

    yield run
    for server in made:
        server.process.kill()
        server.process.wait(10)


def test_c8_a_kill_between_orders_loses_nothing_and_sigterm_ends_cleanly(start: Any) -> None:
    first = start()
    for number in range(3):
        first.pybit.place_order(
            category="spot", symbol="BTCUSDT", side="Buy", orderType="Market", qty="100", orderLinkId=f"k{number}"
        )
    first.pybit.place_order(category="linear", symbol="BTCUSDT", side="Sell", orderType="Market", qty="0.01")
    first.pybit.place_order(
        category="linear", symbol="BTCUSDT", side="Sell", orderType="Limit", qty="0.01", price="27000"
    )
    before = first.ledger()
    first.end(signal.SIGKILL)
    second = start()
    assert second.ledger() == before
    assert second.greeting["accounts"] == first.greeting["accounts"]
    with pytest.raises(InvalidRequestError) as caught:
        second.pybit.place_order(
            category="spot", symbol="BTCUSDT", side="Buy", orderType="Market", qty="100", orderLinkId="k1"
        )
    assert caught.value.status_code == 170141
    assert second.end() == 0


def test_k10_sigterm_ends_within_ten_seconds_whatever_clients_do(start: Any) -> None:
    server = start()
    host, _, port = server.greeting["rest_url"].removeprefix("http://").partition(":")
    unfinished = [socket.create_connection((host, int(port))) for _ in range(20)]
    for number, connection in enumerate(unfinished):
        connection.sendall(
            b"POST /v5/order/create HTTP/1.1\r\nHost: x\r\n" + b"Content-Length: 9\r\n\r\n{" * (number % 2)
        )
    began = time.monotonic()
    assert server.end() == 0
    assert time.monotonic() - began < 8
    for connection in unfinished:
        connection.close()


def test_an_exchange_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    starter = (
        "import subprocess, sys, time; child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True);"
        "print(child.stdout.readline(), flush=True); print(child.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", starter, sys.executable, "-c", MAIN, *FLAGS, str(tmp_path / "v.db")]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    with subprocess.Popen([*command, "--with-parent"], env=env, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        while not (line := parent.stdout.readline()).strip().isdigit():
            pass
        parent.kill()
    child = psutil.Process(int(line)) if psutil.pid_exists(int(line)) else None
    if child is not None:
        gone, _ = psutil.wait_procs([child], timeout=8)
        assert gone or child.status() == psutil.STATUS_ZOMBIE


def test_a_second_server_on_the_same_file_is_refused(start: Any, tmp_path: Path) -> None:
    start()
    command = [sys.executable, "-c", MAIN, *FLAGS, str(tmp_path / "venue.db")]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    second = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 4
    assert "another process" in second.stderr


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (("--host", "0.0.0.0"), 4, "loopback"),
        (("--market", "nowhere"), 3, "nowhere"),
        (("--start", "yesterday"), 2, "is no date"),
        (("--speed", "-1"), 2, "speed"),
        (("--faults", "missing.json"), 2, "fault file"),
        (("--profile", "moon"), 2, "profile"),
    ],
)
def test_wrong_flags_are_refused_with_a_mend(tmp_path: Path, flags: tuple[str, ...], code: int, said: str) -> None:
    command = [sys.executable, "-c", MAIN, "simulator", "serve", "--json", *flags]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == code, run.stderr
    assert said in run.stderr
    assert "mend" in run.stderr


def test_connections_that_never_finish_lock_nobody_out(start: Any) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1_024:
        pytest.skip("the system grants too few handles to open many")
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        server = start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    port = int(server.greeting["rest_url"].rpartition(":")[2])
    held = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(300)]
    for connection in held:
        connection.sendall(b"GET /v5/market/time HTTP/1.1\r\nHost: x")
    assert server.pybit.get_server_time()["retCode"] == 0
    for connection in held:
        connection.close()
    assert server.end() == 0

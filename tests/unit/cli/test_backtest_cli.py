"""`eternal backtest`: forms that scripts rely on, refusals with their mend, nothing half-written."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from builders import a_backtest_result
from eternal_engine import cli
from eternal_engine.cli import backtest, backtest_request
from eternal_engine.cli.backtest_request import Wish, parse_engines, wish
from eternal_engine.model.errors import UsageError
from eternal_engine.reports.result import ENGINES, BacktestResult

Runner = Callable[..., int]


@pytest.fixture
def wishes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Wish]:
    """Replace the run by a made-up one and keep what was asked."""
    asked: list[Wish] = []

    def run_wish(wanted: Wish, settings: object) -> BacktestResult:
        asked.append(wanted)
        days = 40 if wanted.years is None else 365 * min(wanted.years, 4)
        changes: dict[str, object] = {"engines": wanted.engines, "synthetic": wanted.data is None}
        if wanted.start:
            begin = datetime(wanted.start.year, wanted.start.month, wanted.start.day, tzinfo=UTC)
            changes["requested_start_ms"] = int(begin.timestamp() * 1000)
        return a_backtest_result(days=days, **changes)

    monkeypatch.setattr(backtest, "run_wish", run_wish)
    monkeypatch.chdir(tmp_path)
    return asked


def eternal(*args: str) -> int:
    return cli.run(["backtest", *args])


def test_json_is_one_object_on_stdout_and_nothing_else(
    wishes: list[Wish], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert eternal("run", "--json", "--orders", "o.csv", "--save", "r.json") == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["metrics"]["days"] == 40
    assert found["data"]["mark"] == "SYNTHETIC DATA"
    assert "wrote o.csv" in err
    assert json.loads((tmp_path / "r.json").read_text())["detail"]["series"]["days"][0] == "2019-12-31"


def test_orders_are_written_with_exactly_the_promised_columns(wishes: list[Wish], tmp_path: Path) -> None:
    assert eternal("run", "--json", "--orders", "deep/o.csv") == 0
    with (tmp_path / "deep" / "o.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["decided_at", "engine", "symbol", "side", "qty", "price", "fee_usdt", "reason"]
    assert len(rows) == 2001


def test_options_reach_the_run(wishes: list[Wish]) -> None:
    options = "--start 2021-02-03 --end 2021-03-04 --engine core --engine tactical --capital 5000 --seed 3 --plain"
    assert eternal("run", "--json", "--data", "here", "--deposit-weekly", "200", *options.split()) == 0
    assert wishes == [
        Wish(
            data=Path("here"),
            start=date(2021, 2, 3),
            end=date(2021, 3, 4),
            engines=("core_hodl", "tactical"),
            capital_usdt=5000.0,
            deposit_weekly_usdt=200.0,
            seed=3,
            plain=True,
        )
    ]


def test_without_options_everything_is_left_to_the_configuration(wishes: list[Wish]) -> None:
    assert eternal("run", "--json") == 0
    assert wishes == [Wish(engines=ENGINES)]


@pytest.mark.parametrize(
    "args",
    [
        ["--start", "2021-13-01"],
        ["--start", "2021-02-30"],
        ["--start", "yesterday"],
        ["--start", "20210101"],
        ["--start", "2022-01-01", "--end", "2021-01-01"],
        ["--engine", "hodl"],
        ["--capital", "0"],
        ["--capital", "-5"],
        ["--capital", "nan"],
        ["--capital", "1e300"],
        ["--deposit-weekly", "-1"],
        ["--years", "0"],
        ["--years", "5", "--start", "2020-01-01"],
        ["--seed", "-1"],
        ["--trials", "0"],
    ],
)
def test_an_absurd_option_is_refused_with_its_mend(
    args: list[str], wishes: list[Wish], capsys: pytest.CaptureFixture[str]
) -> None:
    assert eternal("run", "--json", *args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "error:" in err
    assert "mend:" in err
    assert wishes == []


@pytest.mark.parametrize("target", [".", "file/deep.html"])
def test_a_file_that_cannot_be_written_is_refused_before_the_run(
    target: str, wishes: list[Wish], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert eternal("run", "--html", target) == 2
    assert "mend:" in capsys.readouterr().err
    assert wishes == []


def test_the_report_is_printed_for_people(wishes: list[Wish], capsys: pytest.CaptureFixture[str]) -> None:
    assert eternal("run") == 0
    out = capsys.readouterr().out
    assert out.startswith("SYNTHETIC DATA")
    assert "Performance" in out
    assert "no closed trades" in out


def test_html_and_markdown_are_written_where_named(wishes: list[Wish], tmp_path: Path) -> None:
    assert eternal("run", "--json", "--html", "a.html", "--markdown", "a.md") == 0
    assert (tmp_path / "a.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "a.md").read_text().startswith("# Backtest")


def test_the_report_command_writes_three_files_and_prints_where(
    wishes: list[Wish], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert eternal("report", "--years", "1") == 0
    paths = [tmp_path / line for line in capsys.readouterr().out.split()]
    assert [path.suffix for path in paths] == [".html", ".md", ".json"]
    assert all(path.stat().st_size > 1000 for path in paths)
    assert paths[0].parent == tmp_path / "reports"
    stored = paths[2]
    assert eternal("report", str(stored), "--out", "elsewhere") == 0
    again = [tmp_path / line for line in capsys.readouterr().out.split()]
    assert [path.read_text() for path in again] == [path.read_text() for path in paths[:2]]
    assert len(wishes) == 1


def test_a_stored_run_takes_no_run_options(wishes: list[Wish], capsys: pytest.CaptureFixture[str]) -> None:
    assert eternal("run", "--json", "--save", "r.json") == 0
    assert eternal("report", "r.json", "--capital", "5") == 2
    assert "cannot be run with other options" in capsys.readouterr().err


def test_a_missing_stored_run_is_bad_data(wishes: list[Wish], capsys: pytest.CaptureFixture[str]) -> None:
    assert eternal("report", "nowhere.json") == 3
    assert eternal("compare", "nowhere.json", "other.json") == 3
    assert "nowhere.json" in capsys.readouterr().err


def test_multi_runs_three_five_and_eight_years_and_every_calendar_year(
    wishes: list[Wish], capsys: pytest.CaptureFixture[str]
) -> None:
    assert eternal("multi", "--json") == 0
    found = json.loads(capsys.readouterr().out)["periods"]
    assert list(found) == ["3 years", "5 years", "8 years", "2020", "2021", "2022", "2023"]
    assert [wanted.years for wanted in wishes[:3]] == [3, 5, 8]
    assert (wishes[3].start, wishes[3].end) == (date(2020, 1, 1), date(2020, 12, 31))


def test_multi_runs_the_periods_named(wishes: list[Wish], capsys: pytest.CaptureFixture[str]) -> None:
    assert eternal("multi", "--period", "2020-01-01:2020-06-30", "--period", "2021-01-01:2021-06-30") == 0
    out = capsys.readouterr().out
    assert "2020-01-01:2020-06-30" in out
    assert "SYNTHETIC DATA" in out
    assert [wanted.end for wanted in wishes] == [date(2020, 6, 30), date(2021, 6, 30)]


@pytest.mark.parametrize("text", ["2020-01-01", "2021-01-01:2020-01-01", "a:b", ":"])
def test_a_bad_period_is_refused(text: str, wishes: list[Wish]) -> None:
    assert eternal("multi", "--period", text) == 2
    assert wishes == []


def test_compare_sets_stored_runs_and_engine_sets_side_by_side(
    wishes: list[Wish], capsys: pytest.CaptureFixture[str]
) -> None:
    assert eternal("run", "--json", "--save", "r.json") == 0
    capsys.readouterr()
    assert eternal("compare", "r.json", "r.json", "--set", "core+trend", "--set", "all", "--json") == 0
    found = json.loads(capsys.readouterr().out)["runs"]
    assert list(found) == ["r", "r (2)", "core+trend", "all"]
    assert list(found["core+trend"]["engines"]) == ["core_hodl", "trend"]
    assert eternal("compare", "r.json", "--set", "all") == 0
    assert "Comparison" in capsys.readouterr().out


def test_one_run_is_nothing_to_compare(wishes: list[Wish]) -> None:
    assert eternal("compare", "--set", "all") == 2


def test_engines_are_read_in_their_own_order_with_the_alias() -> None:
    assert parse_engines(["tactical,core", "CORE-HODL"]) == ("core_hodl", "tactical")
    assert parse_engines([]) == ENGINES


def test_a_wish_without_limits_is_empty() -> None:
    nothing = {"data": None, "years": None, "engine": None, "capital": None, "deposit_weekly": None, "seed": None}
    assert wish(start="", end="", **nothing) == Wish()  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not a day"):
        wish(start="2020-1-1", end="", **nothing)  # type: ignore[arg-type]


def test_the_path_to_json_imports_no_plotting_and_no_tables_library() -> None:
    code = (
        "import sys; import eternal_engine.cli.backtest as b; from builders import a_backtest_result;"
        "b.to_json(b.build_report(a_backtest_result(days=30)));"
        "print([name for name in ('plotly', 'pandas', 'ccxt', 'jinja2') if name in sys.modules])"
    )
    root = Path(__file__).parents[3]
    path = os.pathsep.join((str(root / "src"), str(root / "tests")))
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_what_the_options_leave_open_comes_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from eternal_engine import bootstrap
    from eternal_engine.backtest.runner import BacktestRequest
    from eternal_engine.config import load

    requests: list[BacktestRequest] = []
    run = a_backtest_result(days=1)

    def run_backtest(request: BacktestRequest, settings: object) -> BacktestResult:
        requests.append(request)
        return run

    monkeypatch.setattr(bootstrap, "run_backtest", run_backtest)
    settings = load(
        environ={"ETERNAL_CAPITAL_USDT": "777", "ETERNAL_BACKTEST__SEED": "11"}, directory=Path("/nonexistent")
    )
    assert backtest_request.run_wish(Wish(engines=("trend",)), settings) is run
    assert backtest_request.run_wish(Wish(capital_usdt=5.0, seed=0, deposit_weekly_usdt=9.0), settings) is run
    assert (requests[0].capital_usdt, requests[0].seed, requests[0].deposit_weekly_usdt) == (777.0, 11, 0.0)
    assert requests[0].engines == ("trend",)
    assert (requests[1].capital_usdt, requests[1].seed, requests[1].deposit_weekly_usdt) == (5.0, 0, 9.0)


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        """Say yes."""
        return True


def test_a_terminal_sees_that_work_goes_on_and_a_pipe_sees_nothing_of_a_short_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        monkeypatch.setattr(sys, "stderr", stream)
        with backtest_request.busy("running the backtest"):
            pass
    assert "running the backtest" in terminal.getvalue()
    assert pipe.getvalue() == ""


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_a_long_run_says_once_why_it_takes_long(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    said = threading.Event()

    class AtOnce(threading.Timer):
        def __init__(self, interval: float, function: Callable[..., None], args: tuple[str, ...]) -> None:
            def say(text: str) -> None:
                function(text)
                said.set()

            super().__init__(0.0, say, args)

    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(backtest_request, "Timer", AtOnce)
    with backtest_request.busy("running"):
        assert said.wait(10)
    assert "first run" in stream.getvalue()

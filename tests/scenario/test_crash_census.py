"""The command that strikes everything on one head leaves nothing out and hides no failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crash_census import BEGIN, END, KILLS, Unit, publish, run_all, run_unit, summarize, tables, units
from crash_market import SCENARIOS
from fault_runs import courses
from fault_sites import places_in_sources

WAVE = {"course": "reconcile", "sites": 3, "cases": 9, "failed": 0, "halted": 1, "whole": 0, "differs": 0}


def ran(unit: Unit, *lines: dict[str, Any], head: str = "abc", code: int = 0) -> dict[str, Any]:
    return {
        "head": head,
        "part": unit.part,
        "of": unit.of,
        "arguments": list(unit.arguments),
        "exit_code": code,
        "cpu_s": 2.0,
        "lines": list(lines),
    }


def unit(part: str, of: str) -> Unit:
    return next(one for one in units() if (one.part, one.of) == (part, of))


def test_every_scenario_is_killed_in_every_way_and_every_course_is_struck() -> None:
    planned = {(one.part, one.of) for one in units()}

    assert planned == {(part, row.name) for part in KILLS for row in SCENARIOS} | {
        ("faults", course.name) for course in courses()
    }
    assert len({one.name for one in units()}) == len(units())


def test_c8_at_least_five_hundred_are_killed_twice() -> None:
    how = KILLS["twice"][0]

    assert int(how[how.index("--twice") + 1]) * len(SCENARIOS) >= 500


def test_a_course_adds_up_its_waves_and_says_what_only_faults_have_brought_about() -> None:
    one = unit("faults", "reconcile")
    first, second = {**WAVE, "wave": 1, "new": 2}, {**WAVE, "wave": 2, "sites": 2, "new": 0}

    summary = summarize([one], {one.name: ran(one, first, second, {"places": []})}, "abc")

    row = summary["faults"]["reconcile"]
    assert (row["sites"], row["behind"], row["cases"], row["halted"], row["waves"]) == (5, 2, 18, 2, 2)
    assert (summary["failures"], summary["missing"], summary["cpu_s"]) == ([], [], 2)
    assert "| reconcile | 5 | 2 | 18 | 2 | 0 |" in tables(summary)


def test_calls_left_after_the_last_wave_are_said() -> None:
    one = unit("faults", "reconcile")

    summary = summarize([one], {one.name: ran(one, {**WAVE, "wave": 1, "new": 4}, {"places": []})}, "abc")

    assert summary["missing"] == ["4 calls of faults-reconcile that only many faults bring about"]


def test_lines_of_the_program_that_no_course_has_struck_are_missing() -> None:
    all_courses = [one for one in units() if one.part == "faults"]
    places = [list(place) for place in places_in_sources() if place.verb != "transfer_status"]
    found = {one.name: ran(one, {**WAVE, "wave": 1, "new": 0}, {"places": places}) for one in all_courses}

    missing = summarize(all_courses, found, "abc")["missing"]

    assert missing == ["bank.py _status transfer_status", "paper.py divide transfer_status"]


def test_what_was_run_on_another_head_is_missing() -> None:
    one = unit("once", "trend_stop")
    line = {"scenario": "trend_stop", "points": 9, "writes": 2, "struck": 4, "twice": 0, "undone": 0, "failed": 0}

    summary = summarize([one], {one.name: ran(one, line, head="older")}, "abc")

    assert summary["missing"] == ["once-trend_stop"]
    assert "Not struck on this head: once-trend_stop." in tables(summary)


@pytest.mark.parametrize(("lines", "code"), [((), 0), ((), 1), (({**WAVE, "wave": 1, "new": 0},), 1)])
def test_an_enumeration_that_broke_off_counts_as_failed(lines: tuple[dict[str, Any], ...], code: int) -> None:
    one = unit("faults", "reconcile")

    summary = summarize([one], {one.name: ran(one, *lines, code=code)}, "abc")

    assert [row["unit"] for row in summary["failures"]] == ["faults-reconcile"]


def test_what_went_wrong_is_in_the_summary_word_for_word() -> None:
    one = unit("twice", "trend_stop")
    line = {"scenario": "trend_stop", "points": 9, "writes": 2, "struck": 4, "twice": 3, "undone": 1, "failed": 1}

    summary = summarize([one], {one.name: ran(one, line, {"points": [7], "wrong": ["an order twice"]}, code=1)}, "abc")

    assert summary["failures"] == [{"unit": "twice-trend_stop", "points": [7], "wrong": ["an order twice"]}]
    # Killed twice counts those whose second kill has struck.
    assert "| `trend_stop` |  |  |  | 3 |  |  | 1 | 1 |" in tables(summary)


def test_tables_are_put_between_their_marks_and_nowhere_else() -> None:
    assert publish(f"a\n{BEGIN}old\n{END}b\n", "new\n") == f"a\n{BEGIN}\nnew\n\n{END}b\n"
    with pytest.raises(ValueError, match="lacks the lines"):
        publish("a\n", "new\n")


def test_nothing_is_run_again_and_nothing_on_a_checkout_that_has_moved_on(tmp_path: Path) -> None:
    one = unit("once", "trend_stop")
    done = json.dumps(ran(one, head="0000000"))
    (tmp_path / f"{one.name}.json").write_text(done, encoding="utf-8")

    # No commit is called so: whatever there is to run belongs to another head.
    run_all([one, unit("once", "core_cycle")], tmp_path, "0000000", 2, None)

    assert [path.name for path in tmp_path.iterdir()] == [f"{one.name}.json"]
    assert (tmp_path / f"{one.name}.json").read_text(encoding="utf-8") == done


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_enumeration_is_run_and_its_cost_is_noted(tmp_path: Path) -> None:
    one = unit("once", "core_cycle")

    found = run_unit(Unit(one.part, one.of, one.script, (*one.arguments, "--stride", "70"), 1), tmp_path, tmp_path)

    assert (found["exit_code"], found["lines"][0]["failed"]) == (0, 0)
    assert found["lines"][0]["struck"] > 1
    assert found["cpu_s"] > 0

"""The command line: lazy groups, exit codes, help without heavy imports."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer

from eternal_engine import cli
from eternal_engine.model.errors import DataError, EternalError, RefusedError, UsageError

ROOT = Path(__file__).parents[3]
HEAVY = ("numba", "pandas", "ccxt", "plotly", "pyarrow", "pydantic", "numpy", "talib", "yaml", "asyncio", "requests")


def python(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **environ},
    )


def test_help_lists_every_group_and_imports_nothing_heavy() -> None:
    code = f"""
import sys
from eternal_engine.cli import run
code = run(["--help"])
heavy = [name for name in {HEAVY!r} if name in sys.modules]
sys.exit(f"imported {{heavy}}" if heavy else code)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    for name, group in cli.GROUPS.items():
        assert f"  {name} " in done.stdout
        assert group.help.split(maxsplit=1)[0] in done.stdout


@pytest.mark.parametrize("name", cli.GROUPS)
def test_every_group_of_the_table_exists_and_shows_its_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(import_module(cli.GROUPS[name].module).app, typer.Typer)
    assert cli.run([name, "--help"]) == 0
    assert "Usage: eternal " + name in capsys.readouterr().out


def test_a_verb_without_verbs_below_it_takes_its_options_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["rules", "--help"]) == 0
    assert "Usage: eternal rules [OPTIONS]" in capsys.readouterr().out


def test_no_arguments_show_the_help_and_a_wrong_verb_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == 2
    assert cli.run(["confg"]) == 2
    assert "Did you mean 'config'?" in capsys.readouterr().err
    assert cli.run(["config", "sow"]) == 2
    assert cli.run(["config", "show", "--mode", "dreams"]) == 2
    assert cli.run(["--version"]) == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("wrong", where="here", mend="so"), 2),
        (DataError("wrong", where="here", mend="so"), 3),
        (RefusedError("wrong", where="here", mend="so"), 4),
        (EternalError("wrong", where="here", mend="so"), 1),
    ],
)
def test_an_error_becomes_its_exit_code_and_says_what_where_and_mend(
    error: EternalError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    assert cli.run([]) == code
    assert capsys.readouterr().err == "error: wrong\nwhere: here\nmend:  so\n"
    assert cli.run(["--debug"]) == code
    assert "Traceback" in capsys.readouterr().err


def test_a_file_that_cannot_be_used_is_named_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(cli, "app", lambda **_: (tmp_path / "nothing").read_text())
    assert cli.run([]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: No such file or directory\nwhere: {tmp_path / 'nothing'}\nmend:")


def test_main_ends_the_process_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["eternal", "--version"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_offers_groups_and_their_verbs(shell: str) -> None:
    def complete(words: str) -> str:
        variables = {"_ETERNAL_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": words, "COMP_WORDS": words}
        variables["COMP_CWORD"] = str(len(words.split(" ")) - 1)
        if shell == "fish":
            variables["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
        return python("from eternal_engine.cli import main; main()", **variables).stdout

    assert "config" in complete("eternal conf")
    assert "explain" in complete("eternal config ex")


def test_the_module_is_the_command_too() -> None:
    done = python(
        "import runpy, sys; sys.argv = ['x', '--version']; runpy.run_module('eternal_engine', run_name='__main__')"
    )
    assert done.stdout.startswith("eternal-engine ")

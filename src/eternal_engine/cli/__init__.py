"""The `eternal` command: one table of verb groups, each loaded only when it is used."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from eternal_engine.cli.examples import with_examples
from eternal_engine.files import failure
from eternal_engine.launch.collector import no_collection
from eternal_engine.model.errors import EternalError

EXIT_CODES = (
    "Exit codes: 0 done, 2 usage or configuration, 3 bad or missing data, 4 refused for safety, 1 anything else."
)


class Group(NamedTuple):
    """Name the module of one group of verbs; `single` is a verb without verbs below it."""

    module: str
    help: str
    single: bool = False


GROUPS = {
    "approve": Group("eternal_engine.cli.approve", "Approve what the circuit breaker waits for.", single=True),
    "arm": Group("eternal_engine.cli.arm", "Allow live trading, up to a cap, for a time.", single=True),
    "assign": Group("eternal_engine.cli.assign", "Give a deposit in MASTER to the engines.", single=True),
    "backtest": Group("eternal_engine.cli.backtest", "Run the four engines over history, and report on it."),
    "backup": Group("eternal_engine.cli.backup", "Copy the daemon's database, while it runs or not.", single=True),
    "bench": Group("eternal_engine.cli.bench", "Measure the speed goals and print them as JSON lines.", single=True),
    "check": Group("eternal_engine.cli.check", "Examine this installation: each finding with its mend.", single=True),
    "config": Group("eternal_engine.cli.config", "Show, explain and export the configuration."),
    "data": Group("eternal_engine.cli.data", "Import, download, verify, list and synthesize market data."),
    "dca": Group("eternal_engine.cli.dca", "Show CORE_HODL's purchase plan, and act on it."),
    "export": Group("eternal_engine.cli.export", "Write trades, tax lots, funding and transfers as CSV."),
    "fills": Group("eternal_engine.cli.fills", "List the executions.", single=True),
    "flatten": Group("eternal_engine.cli.flatten", "Close positions and halt their engines.", single=True),
    "halt": Group("eternal_engine.cli.halt", "Stop entries; exits and stops go on.", single=True),
    "journal": Group("eternal_engine.cli.journal", "Show, verify and export the journal."),
    "orders": Group("eternal_engine.cli.orders", "List the orders.", single=True),
    "positions": Group("eternal_engine.cli.positions", "List what each engine holds.", single=True),
    "reconcile": Group("eternal_engine.cli.reconcile", "Compare with the exchange now.", single=True),
    "replay": Group("eternal_engine.cli.replay", "Add the journal up again, and compare.", single=True),
    "restore": Group("eternal_engine.cli.restore", "Put a backup in the database's place.", single=True),
    "resume": Group("eternal_engine.cli.resume", "Lift a halt.", single=True),
    "review": Group("eternal_engine.cli.review", "Judge a paused symbol or an orphan position.", single=True),
    "rules": Group("eternal_engine.cli.rules", "List the rules and write docs/rules.md.", single=True),
    "run": Group("eternal_engine.cli.run_daemon", "Trade: paper, demo or live, until stopped.", single=True),
    "simulator": Group("eternal_engine.cli.simulator", "Serve the embedded exchange on loopback."),
    "status": Group("eternal_engine.cli.status", "Show what the daemon does and why.", single=True),
    "why": Group("eternal_engine.cli.why", "Explain one order: inputs, rules, verdict, timeline.", single=True),
}


class LazyGroups(TyperGroup):
    """List the groups from the table for help and completion, and import one only to run it."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        for name, group in GROUPS.items():
            self.add_command(TyperCommand(name=name, help=group.help, callback=None))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace the stand-in of the table by the group's real command."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in GROUPS:
            command = with_examples(_load(GROUPS[name]), name)
            command.name = name
        return name, command, rest


def _load(group: Group) -> Any:
    with no_collection():
        app = import_module(group.module).app
    return typer.main.get_command(app) if group.single else typer.main.get_group(app)


app = typer.Typer(
    name="eternal",
    cls=LazyGroups,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"eternal-engine {version('eternal-engine')}")
        raise typer.Exit


@app.callback()
def _globals(
    config_dir: Annotated[
        str, typer.Option("--config-dir", metavar="DIR", help="Read the YAML files from here instead of ./config.")
    ] = "",
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The Eternal Engine: four strategy engines, one risk manager, one backtest, one daemon."""
    if config_dir:
        # The environment, so that child processes (embedded exchange, sweep workers) read the same files.
        os.environ["ETERNAL_CONFIG_DIR"] = config_dir


def main() -> None:
    """Run the command line and end the process with the exit code that fits the outcome."""
    from eternal_engine.cli.encoding import be_plain_where_needed

    be_plain_where_needed()
    sys.exit(run(sys.argv[1:]))


def run(args: list[str]) -> int:
    """Run one command line and return its exit code; errors of ours go to stderr as what, where and mend."""
    try:
        app(args=args, prog_name="eternal")
    except SystemExit as exit_:
        return _code_of(exit_)
    except EternalError as error:
        _print_error(error, debug=_wants_debug(args))
        return error.exit_code
    except OSError as error:
        problem = failure(error, str(error.filename or ""))
        _print_error(problem.with_traceback(error.__traceback__), debug=_wants_debug(args))
        return problem.exit_code
    return 0


def _code_of(exit_: SystemExit) -> int:
    if exit_.code is None:
        return 0
    return exit_.code if isinstance(exit_.code, int) else 1


def _wants_debug(args: list[str]) -> bool:
    return "--debug" in args


def _print_error(error: EternalError, *, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    typer.echo(f"error: {error.message}", err=True)
    if error.where:
        typer.echo(f"where: {error.where}", err=True)
    if error.mend:
        typer.echo(f"mend:  {error.mend}", err=True)

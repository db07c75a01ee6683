"""Examples for the help of every verb: what a person types most often, ready to copy."""

from __future__ import annotations

from typing import Any, Final

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "approve": ("eternal approve", "eternal approve --mode live"),
    "arm": ("eternal arm --cap 5000", "eternal arm --cap 5000 --days 7", "eternal arm --show", "eternal arm --revoke"),
    "assign": ("eternal assign shares", "eternal assign core_hodl --amount 500"),
    "backtest run": (
        "eternal backtest run --years 5",
        "eternal backtest run --data ~/market --start 2021-01-01 --end 2023-12-31",
        "eternal backtest run --engine trend --engine funding --json",
    ),
    "backtest multi": (
        "eternal backtest multi --data ~/market",
        "eternal backtest multi --period 2020-01-01:2021-12-31 --period 2022-03-01:2022-06-30",
    ),
    "backtest report": ("eternal backtest report --years 5 --out reports", "eternal backtest report run.json"),
    "backtest compare": (
        "eternal backtest compare --set all --set core+trend --years 3",
        "eternal backtest compare one.json other.json",
    ),
    "backup": ("eternal backup ~/eternal-2026-11-23.db", "eternal backup --mode live /mnt/safe/live.db"),
    "bench": ("eternal bench", "eternal bench --data ~/market"),
    "check": ("eternal check", "eternal check --mode live", "eternal check --offline --json"),
    "config show": ("eternal config show --mode paper", "eternal config show --json"),
    "config explain": ("eternal config explain risk.max_position_frac", "eternal config explain trend"),
    "config document": ("eternal config document > docs/configuration.md",),
    "config schema": ("eternal config schema > config/schema.json",),
    "data import": ("eternal data import ~/market", "eternal data import ~/market --source 'my recorder'"),
    "data download": (
        "eternal data download --start 2021-01-01",
        "eternal data download --symbols BTCUSDT,ETHUSDT --exchange binance",
    ),
    "data verify": ("eternal data verify", "eternal data verify ~/market"),
    "data list": ("eternal data list", "eternal data list ~/market --json"),
    "data likeness": ("eternal data likeness --seed 11", "eternal data likeness ~/market"),
    "data synthesize": ("eternal data synthesize --seed 11", "eternal data synthesize --seed 11 --to /tmp/eleven"),
    "dca status": ("eternal dca status",),
    "dca trigger": (
        "eternal dca trigger --symbols BTCUSDT,ETHUSDT --amount 500",
        "eternal dca trigger --symbols BTCUSDT --amount 500 --execute",
    ),
    "dca fix-missed": ("eternal dca fix-missed", "eternal dca fix-missed --date 2026-11-02 --execute"),
    "export trades": ("eternal export trades --year 2025 -o trades.csv",),
    "export lots": (
        "eternal export lots --year 2025 -o lots.csv",
        "eternal export lots --method average --held",
    ),
    "export funding": ("eternal export funding --year 2025 -o funding.csv",),
    "export transfers": ("eternal export transfers -o transfers.csv",),
    "fills": ("eternal fills --limit 20", "eternal fills --json"),
    "flatten": ("eternal flatten", "eternal flatten trend", "eternal flatten core_hodl"),
    "halt": ("eternal halt", "eternal halt trend funding", "eternal halt --mode live"),
    "journal tail": ("eternal journal tail -n 50", "eternal journal tail --kind Filled --kind Reviewed --follow"),
    "journal verify": ("eternal journal verify", "eternal journal verify --head HASH"),
    "journal export": ("eternal journal export journal.jsonl", "eternal journal export -"),
    "orders": ("eternal orders", "eternal orders --open", "eternal orders --limit 10 --json"),
    "positions": ("eternal positions", "eternal positions --mode live --json"),
    "reconcile": ("eternal reconcile",),
    "replay": ("eternal replay", "eternal replay --decisions", "eternal replay --write"),
    "restore": ("eternal restore ~/eternal-2026-11-23.db",),
    "resume": ("eternal resume", "eternal resume trend", "eternal resume --emergency"),
    "review": (
        "eternal review SOLUSDT",
        "eternal review SOLUSDT --ignore",
        "eternal review BTCUSDT --assign --account trend --stop 58000",
    ),
    "rules": ("eternal rules", "eternal rules --json"),
    "run": (
        "eternal run --mode paper",
        "eternal run --mode paper --market synthetic --speed 60 --state-dir /tmp/try",
        "eternal run --mode paper --market ~/market --start 2022-05-01 --speed max --json",
    ),
    "simulator serve": (
        "eternal simulator serve --port 8700",
        "eternal simulator serve --market ~/market --start 2022-05-01 --speed 3600",
    ),
    "simulator soak": ("eternal simulator soak --operations 100000 --seed 1",),
    "simulator load": ("eternal simulator load",),
    "simulator endure": ("eternal simulator endure --minutes 5",),
    "status": ("eternal status", "eternal status --watch", "eternal status --json --require-running"),
    "why": ("eternal why co-2401020000-BTCUSDT-buy-1",),
}


def with_examples(command: Any, path: str) -> Any:
    """End the help of a verb, or of every verb of a group, with its examples; `path` is how it is called."""
    below = getattr(command, "commands", {})
    for name, verb in below.items():
        with_examples(verb, f"{path} {name}")
    lines = EXAMPLES.get(path, ())
    if lines and not below:
        # \b keeps the lines as they are.
        command.epilog = "\b\n" + "\n".join(
            ("Example:" if len(lines) == 1 else "Examples:", *(f"  {x}" for x in lines))
        )
    return command

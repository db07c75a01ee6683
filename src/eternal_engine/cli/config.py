"""`eternal config`: show what applies, explain a key, export the schema and the document."""

from __future__ import annotations

from typing import Annotated

import typer

from eternal_engine.cli.output import print_columns, print_json
from eternal_engine.config import Configuration, Mode, read
from eternal_engine.config.documents import configuration_markdown, explanation, schema_json
from eternal_engine.config.keys import Key, all_keys, to_text, value_at

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show, explain and export the configuration.")

ModeOption = Annotated[Mode, typer.Option("--mode", help="Whose overlay file applies.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def show(mode: ModeOption = "backtest", as_json: JsonOption = False) -> None:
    """Show every effective value and where it came from; API keys only as set or not set."""
    configuration = read(mode)
    rows = [(path, _shown(configuration, entry), _origin(configuration, path)) for path, entry in all_keys().items()]
    if as_json:
        print_json(
            {
                "mode": mode,
                "config_dir": None if configuration.config_dir is None else str(configuration.config_dir),
                "hash": configuration.settings.hash(),
                "values": {path: {"value": value, "origin": origin} for path, value, origin in rows},
            }
        )
        return
    print_columns([("KEY", "FROM", "VALUE"), *((path, origin, value) for path, value, origin in rows)])
    typer.echo(f"\nmode {mode}, hash {configuration.settings.hash()}")


@app.command()
def explain(
    key: Annotated[str, typer.Argument(help="A key such as trend.sma_days, or a section; none lists all.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Explain one key: what it means, its unit, default, rules and variable."""
    facts = explanation(key)
    if as_json:
        print_json(facts)
    elif "keys" in facts:
        print_columns([*facts["keys"].items()])
    else:
        print_columns(
            (name, " ".join(value) if isinstance(value, list) else str(value)) for name, value in facts.items()
        )


@app.command()
def schema() -> None:
    """Print the JSON schema of the YAML files (config/schema.json)."""
    typer.echo(schema_json(), nl=False)


@app.command()
def document() -> None:
    """Print docs/configuration.md."""
    typer.echo(configuration_markdown(), nl=False)


def _shown(configuration: Configuration, entry: Key) -> str:
    value = value_at(configuration.settings, entry.path)
    if entry.secret:
        return "not set" if value is None else "set, not shown"
    return to_text(value)


def _origin(configuration: Configuration, path: str) -> str:
    return configuration.origins.get(path, "default")

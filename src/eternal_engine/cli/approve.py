"""`eternal approve`: the operator's word that a breaker level waits for (BRK-3, F20)."""

from __future__ import annotations

import typer

from eternal_engine.cli.command import WAIT_S, WaitOption, running_database, send, typed
from eternal_engine.cli.state_dir import JsonOption, ModeOption, StateDirOption
from eternal_engine.model.errors import RefusedError

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_FIRST_TO_WAIT = 2
_EMERGENCY = 4


@app.command()
def approve(
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    wait_s: WaitOption = WAIT_S,
    as_json: JsonOption = False,
) -> None:
    """Approve the return to normal of a breaker at level 2 or above; asks at the terminal, at level 4 twice."""
    from eternal_engine.cli.people import moment
    from eternal_engine.cli.remembered import hour_text, remembered
    from eternal_engine.risk.breaker import LEVELS
    from eternal_engine.storage.views import open_view

    with open_view(running_database(state_dir, mode)) as view:
        memory = remembered(view)
    level = 0 if memory is None else int(memory.risk["level"])
    if memory is None or level < _FIRST_TO_WAIT:
        raise RefusedError(
            f"the breaker is at level {level} {LEVELS[level]}",
            where="approve",
            mend="nothing waits for an approval; level 1 ends by itself",
        )
    since = moment(hour_text(int(memory.risk["changed_h"])))
    question = (
        f"The breaker is at level {level} {LEVELS[level]} since {since} UTC. After an approval TREND and FUNDING may "
        "enter again at reduced size, and the drawdown is counted from the equity of that hour."
    )
    said = {"level": str(level), "confirmation": typed("APPROVE", question)}
    if level >= _EMERGENCY:
        said["second_confirmation"] = typed("LEVEL 4", "At level 4 the losses were extreme. Do you know why?")
    send("approve", said, state_dir=state_dir, mode=mode, wait_s=wait_s, as_json=as_json)

"""Names of the files in a state directory."""

from __future__ import annotations

from typing import Final

DATABASE_FILE: Final = "eternal.db"
BARS_FILE: Final = "market.db"
INBOX_FILE: Final = "inbox.db"
VENUE_FILE: Final = "venue.db"
# This one is in the directory of logs.
CHILD_LOG: Final = "exchange.log"

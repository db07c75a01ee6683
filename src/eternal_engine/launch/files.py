"""Names of the files in a state directory; nothing else, so that verbs which only look may import it at once."""

from __future__ import annotations

from typing import Final

DATABASE_FILE: Final = "eternal.db"
BARS_FILE: Final = "market.db"
INBOX_FILE: Final = "inbox.db"
VENUE_FILE: Final = "venue.db"
ARMING_FILE: Final = "arming.json"
# A folder: journal rows that were archived.
SEGMENTS_FOLDER: Final = "archive"
# This one is in the directory of logs.
CHILD_LOG: Final = "exchange.log"

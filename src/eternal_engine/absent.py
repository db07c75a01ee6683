"""Let a library start without the optional packages it would otherwise load for nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def absent(*names: str) -> Iterator[None]:
    """Make packages that are not loaded yet look uninstalled inside the block.

    TA-Lib loads pandas and polars, numba loads scipy, each half a second, only to offer what is not used here.
    """
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)

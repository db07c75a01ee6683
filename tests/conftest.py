"""What holds for every test: a busy machine is no reason to fail, so properties have no deadline of their own."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

"""The configuration: a frozen tree of settings, read from YAML files and the environment, nothing unknown allowed."""

from eternal_engine.config.load import MODES, Configuration, Mode, load, read
from eternal_engine.config.settings import Settings

__all__ = ["MODES", "Configuration", "Mode", "Settings", "load", "read"]

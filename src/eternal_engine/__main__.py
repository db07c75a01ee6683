"""Let `python -m eternal_engine` be the `eternal` command, for children that know only their interpreter."""

from eternal_engine.cli import main

if __name__ == "__main__":
    main()

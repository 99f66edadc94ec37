"""The entry point of the command `spdbuild`, which is also `python -m spdbuild`."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command; a Ctrl-C while it is still being imported ends it as one does later."""
    try:
        from spdbuild.cli import main as command
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()

"""Print the shell commands of README.md, so that what CI runs is what a reader is told to type.

python3 .ci/readme_commands.py tests    the block that sets up and runs the tests
python3 .ci/readme_commands.py all      every other block, in order
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def blocks() -> list[str]:
    """The fenced blocks marked `sh`."""
    return re.findall(r"^```sh\n(.*?)^```$", README.read_text(), flags=re.MULTILINE | re.DOTALL)


def is_test(block: str) -> bool:
    return "pytest" in block


def main() -> None:
    wanted = [block for block in blocks() if is_test(block) == (sys.argv[1] == "tests")]
    if not wanted:
        raise SystemExit(f"README.md has no block of commands for '{sys.argv[1]}'")
    print("\n".join(wanted))


if __name__ == "__main__":
    main()

"""Groups of images by what their names have in common: `together` of a data set, `--together` of a report."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spdbuild.errors import ArgumentError


def pattern_of(together: str | None) -> re.Pattern[str] | None:
    """A compiled regular expression, if one is given; raises ArgumentError for an invalid one."""
    try:
        return None if together is None else re.compile(together)
    except re.error as error:
        message = f"'{together}' is no regular expression: {error}"
        raise ArgumentError(message, argument="together", hint=r"for example '^(\d+)_', or 'patient\d+'") from None


def group_numbers(together: re.Pattern[str], names: Sequence[str]) -> list[int]:
    """The group of each image by its name, counted from 0 in the order in which they come.

    Raises ArgumentError for a name without a match, and if all are in one group.
    """
    found = [together.search(name) for name in names]
    if None in found:
        raise ArgumentError(
            f"the pattern '{together.pattern}' matches nothing in the name of image '{names[found.index(None)]}'",
            argument="together",
            hint=f"with '{_matching_all(together)}' each image without a match is a group of its own",
        )
    keys = [_key(match) for match in found if match]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    if len(numbers) == 1:
        raise ArgumentError(
            f"the pattern '{together.pattern}' puts all {len(names):,} images into one group",
            argument="together",
            hint="write one whose match, or what it has in parentheses, differs from group to group",
        )
    return [numbers[key] for key in keys]


def _key(match: re.Match[str]) -> str | tuple[str | None, ...]:
    """What images of a group have in common: if the pattern has parentheses that match, only what is in them."""
    return match.group() if all(part is None for part in match.groups()) else match.groups()


def _matching_all(together: re.Pattern[str]) -> str:
    """The pattern of the same groups that matches any other name as a whole."""
    inner = "" if not together.groups else "?:"
    # Flags of a whole pattern, as in (?i), may stand at its start alone.
    return re.sub(r"^(\(\?[aiLmsux]+\))?(.*)$", rf"\1^.*?({inner}\2)|.+", together.pattern, flags=re.DOTALL)

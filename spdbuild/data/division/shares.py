"""A share of the images of each class, held out of those to train on."""

from __future__ import annotations

from spdbuild.data.division.grouped import groups_of, parts_of_groups, require_divided_classes
from spdbuild.data.division.name_digest import name_digest
from spdbuild.data.files.listing import Groups, Listing
from spdbuild.errors import DataError


def share_part(whole: Listing, share: float, together: str | None, *, held_out: bool) -> Listing:
    """The images that are held out, or the others: of each class the share, or groups that come near to it."""
    groups = groups_of(whole, together)
    inside = _of_each_class(whole, share) if groups is None else _of_groups(whole, share, groups)
    return whole.take([position for position in range(len(whole.paths)) if (position in inside) == held_out])


def _of_each_class(whole: Listing, share: float) -> set[int]:
    """The positions of the images that are held out; at least one of each class.

    The digests of their names say which: of the files that were there before others came, most stay where they were.
    """
    by_class: list[list[int]] = [[] for _ in whole.classes]
    for position, label in enumerate(whole.labels):
        by_class[label].append(position)
    chosen = set[int]()
    for name, own in zip(whole.classes, by_class, strict=True):
        if len(own) == 1:
            raise DataError(
                f"the class '{name}' has one image in {whole.root}, and val_share={share:g} needs two",
                hint="add images, or leave the class out",
            )
        own.sort(key=lambda position: name_digest(whole.name(whole.paths[position])))
        chosen.update(own[: min(max(round(share * len(own)), 1), len(own) - 1)])
    return chosen


def _of_groups(whole: Listing, share: float, groups: Groups) -> set[int]:
    """The positions of the images that are held out, with all of their groups; some of each class, but not all."""
    names = [whole.name(path) for path in whole.paths]
    parts = parts_of_groups(names, [[label] for label in whole.labels], groups.numbers, (share, 1 - share))
    require_divided_classes(whole, parts, f"val_share={share:g}", groups)
    return {position for position, part in enumerate(parts) if part == 0}

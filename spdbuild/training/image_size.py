"""Whether a network is made for the images that it gets."""

from __future__ import annotations

from spdbuild.errors import RecipeError
from spdbuild.training.recipe import Network


def check_input(named: Network, made: tuple[int, ...], size: tuple[int, int] | None) -> None:
    """Refuse a network whose input shape is not that of images of `size` with three channels."""
    wanted = (3, *(size or made[1:]))
    if made != wanted:
        ours, theirs = ("x".join(map(str, shape)) for shape in (made, wanted))
        message = f"the network is made for images of {ours}, and the data gives {theirs}"
        hint = "leave 'input' out, or give the data that size" if named.input else "images are read as RGB"
        raise RecipeError(message, location=named.place("input", "architecture"), hint=hint)

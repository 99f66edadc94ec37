"""The modules of row files in our language: which arguments they take, which blocks they need, how they are called.

Structures are those of the published networks: YOLOv5 v6.0 (Jocher et al. 2021, doi:10.5281/zenodo.5563715), its
SPD-Conv form (Sunkara and Luo 2022, arXiv:2208.03641), and YOLOv3 (Redmon and Farhadi 2018, arXiv:1804.02767).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from spdbuild.declaring.arguments import literal

#: The text of each block, after those of the blocks that it uses.
BLOCKS = {
    "conv": """\
conv(out, kernel=1, stride=1, groups=1):
  - conv: conv2d(out, kernel, stride, groups=groups)
  - norm: batch_norm(epsilon=1e-3, momentum=0.03)
  - silu()
""",
    "padded_conv": """\
padded_conv(out, kernel, padding, stride=1, groups=1):
  - conv: conv2d(out, kernel, stride, padding, groups=groups)
  - norm: batch_norm(epsilon=1e-3, momentum=0.03)
  - silu()
""",
    "bottleneck": """\
bottleneck(out, skip):
  - reduce: conv(out)
  - spatial: conv(out, 3)
  - add(when=skip) <- spatial, input
""",
    "residual": """\
residual(out, skip=true):
  - reduce: conv(out // 2)
  - spatial: conv(out, 3)
  - add(when=skip and in_channels == out) <- spatial, input
""",
    "c3": """\
c3(out, depth=1, skip=true):
  - main: conv(out // 2)
  - deep: bottleneck(out // 2, skip) * depth
  - side: conv(out // 2) <- input
  - concat() <- deep, side
  - fuse: conv(out)
""",
    "sppf": """\
sppf(out, kernel=5):
  - reduce: conv(in_channels // 2)
  - pool1: max_pool(kernel)
  - pool2: max_pool(kernel)
  - pool3: max_pool(kernel)
  - concat() <- reduce, pool1, pool2, pool3
  - fuse: conv(out)
""",
    "spp": """\
spp(out, small=5, middle=9, large=13):
  - reduce: conv(in_channels // 2)
  - pool1: max_pool(small) <- reduce
  - pool2: max_pool(middle) <- reduce
  - pool3: max_pool(large) <- reduce
  - concat() <- reduce, pool1, pool2, pool3
  - fuse: conv(out)
""",
    "focus": """\
focus(out, kernel=1):
  - space_to_depth()
  - conv: conv(out, kernel)
""",
}

#: Names of layers within our blocks -> those in weights trained from row files.
RENAMED = {
    "conv": {"norm": "bn"},
    "padded_conv": {"norm": "bn"},
    "c3": {"main": "cv1", "side": "cv2", "fuse": "cv3", "deep": "m"},
    "bottleneck": {"reduce": "cv1", "spatial": "cv2"},
    "residual": {"reduce": "cv1", "spatial": "cv2"},
    "sppf": {"reduce": "cv1"},
    "spp": {"reduce": "cv1"},
}

#: Marks an argument that has no default.
REQUIRED: Any = ...
Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class RowModule:
    """A module of row files.

    parameters: its arguments in order, with their defaults.
    call: our call, from the arguments and, where `repeats` is "depth", the number of the row.
    shrinks: how many times smaller the output is.
    repeats: what the number of a row means: the depth of the block, calls in a chain, or nothing.
    label: for names; `{level}` is log2 of the stride. inputs: how many; None: several.
    weights: whether it has any, or may get some, as converted pools do.
    """

    parameters: Mapping[str, Any]
    call: Callable[[Arguments, int], str]
    label: str
    shrinks: Callable[[Arguments], Fraction] = field(default=lambda arguments: Fraction(1))
    repeats: Literal["depth", "chain", "once"] = "once"
    weights: bool = True
    inputs: int | None = 1


def _conv(arguments: Arguments, number: int) -> str:
    kernel, padding = arguments["kernel"], arguments["padding"]
    options = {"stride": (arguments["stride"], 1), "groups": (arguments["groups"], 1)}
    padding = kernel // 2 if padding is None else padding
    if padding == (kernel - 1) // 2:
        return _written("conv", arguments["out"], {"kernel": (kernel, 1), **options})
    always = {"kernel": (kernel, None), "padding": (padding, None)}
    return _written("padded_conv", arguments["out"], {**always, **options})


def _c3(arguments: Arguments, number: int) -> str:
    return _written("c3", arguments["out"], {"depth": (number, 1), "skip": (arguments["shortcut"], True)})


def _spp(arguments: Arguments, number: int) -> str:
    small, middle, large = arguments["kernels"]
    return _written("spp", arguments["out"], {"small": (small, 5), "middle": (middle, 9), "large": (large, 13)})


def _max_pool(arguments: Arguments, number: int) -> str:
    kernel, stride, padding = arguments["kernel"], arguments["stride"], arguments["padding"]
    options = {"stride": (stride or kernel, 1), "padding": (padding, (kernel - 1) // 2)}
    return _written("max_pool", kernel, options)


def _upsample(arguments: Arguments, number: int) -> str:
    return _written("upsample", arguments["scale_factor"], {"mode": (arguments["mode"], "nearest")})


def _written(function: str, first: Any, options: Mapping[str, tuple[Any, Any]]) -> str:
    """A call with the options that differ from their defaults."""
    given = [f"{name}={literal(value)}" for name, (value, default) in options.items() if value != default]
    return f"{function}({', '.join([literal(first), *given])})"


def blocks_of(calls: Iterable[str]) -> list[str]:
    """The blocks that the calls need, each after those that it uses."""
    texts = list(calls)
    needed: set[str] = set()
    for name, text in reversed(BLOCKS.items()):
        if any(re.search(rf"\b{name}\(", user) for user in texts):
            needed.add(name)
            texts.append(text.partition("\n")[2])
    return [name for name in BLOCKS if name in needed]


_HALVES = Fraction(2)

_FOCUS = RowModule(
    {"out": REQUIRED, "kernel": 1},
    lambda arguments, number: _written("focus", arguments["out"], {"kernel": (arguments["kernel"], 1)}),
    "down{level}",
    shrinks=lambda arguments: _HALVES,
)

#: By the names that row files use.
MODULES: dict[str, RowModule] = {
    "Conv": RowModule(
        {"out": REQUIRED, "kernel": 1, "stride": 1, "padding": None, "groups": 1},
        _conv,
        "conv{level}",
        shrinks=lambda arguments: Fraction(arguments["stride"]),
        repeats="chain",
    ),
    "C3": RowModule({"out": REQUIRED, "shortcut": True}, _c3, "p{level}", repeats="depth"),
    "Bottleneck": RowModule(
        {"out": REQUIRED, "shortcut": True},
        lambda arguments, number: _written("residual", arguments["out"], {"skip": (arguments["shortcut"], True)}),
        "p{level}",
        repeats="chain",
    ),
    "SPPF": RowModule(
        {"out": REQUIRED, "kernel": 5},
        lambda arguments, number: _written("sppf", arguments["out"], {"kernel": (arguments["kernel"], 5)}),
        "pyramid{level}",
    ),
    "SPP": RowModule({"out": REQUIRED, "kernels": [5, 9, 13]}, _spp, "pyramid{level}"),
    "Focus": _FOCUS,
    "SPDConv": _FOCUS,
    "space_to_depth": RowModule(
        {"dimension": 1},  # stored and never used there
        lambda arguments, number: "space_to_depth()",
        "depth{level}",
        shrinks=lambda arguments: _HALVES,
        weights=False,
    ),
    "Concat": RowModule(
        {"dimension": 1}, lambda arguments, number: "concat()", "concat{level}", weights=False, inputs=None
    ),
    "nn.Upsample": RowModule(
        {"size": None, "scale_factor": REQUIRED, "mode": "nearest"},
        _upsample,
        "up{level}",
        shrinks=lambda arguments: Fraction(1, arguments["scale_factor"]),
        weights=False,
    ),
    "nn.MaxPool2d": RowModule(
        {"kernel": REQUIRED, "stride": None, "padding": 0},
        _max_pool,
        "pool{level}",
        shrinks=lambda arguments: Fraction(arguments["stride"] or arguments["kernel"]),
    ),
}

"""Write the pages that are made from the code: ops.md, passes.md, recipes.md, commands.md and the JSON Schemas.

    python docs/generate.py

tests/test_docs.py fails where a page is not what this writes.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from textwrap import dedent
from typing import Any

import click

from spdbuild.cli import spdbuild
from spdbuild.cli.ops import example_text
from spdbuild.cli.reference import Reference, reference
from spdbuild.cli.schema import schema_text
from spdbuild.data import DATASETS
from spdbuild.data.augment import AUGMENTATIONS
from spdbuild.data.sampling import SAMPLINGS
from spdbuild.declaring.arguments import type_hints
from spdbuild.declaring.docstrings import documentation
from spdbuild.declaring.registry import Registry
from spdbuild.declaring.roles import Role, role_of
from spdbuild.losses.loss import LOSSES
from spdbuild.ops import OPS
from spdbuild.passes import PASSES
from spdbuild.text.yaml_text import inline
from spdbuild.training.initializers import INITIALIZERS
from spdbuild.training.optimizers.optimizer import OPTIMIZERS
from spdbuild.training.recipe import DistillOptions, EmaOptions, FirstWeights, Recipe
from spdbuild.training.recipe.recipe import default_optimizer
from spdbuild.training.recipe.sections import plain, section_schema
from spdbuild.training.schedules.schedule import SCHEDULES
from spdbuild.training.schedules.shapes import Cosine
from spdbuild.training.task import TASKS

DOCS = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py from the code; changes made here are lost. -->"


def pages() -> dict[str, str]:
    """Text of each generated file by its path below docs/."""
    return {
        "ops.md": _page("Ops", _ops()),
        "passes.md": _page("Passes", _passes()),
        "recipes.md": _page("Recipes", _recipes()),
        "commands.md": _page("Commands", _commands(spdbuild, ("spdbuild",))),
        "schema/architecture.json": schema_text("architecture"),
        "schema/recipe.json": schema_text("recipe"),
    }


def _default(section: Any) -> str:
    """A section as one writes it, without the keys that have their defaults."""
    usual = plain(type(section)())
    return inline({key: value for key, value in plain(section).items() if key == "name" or value != usual[key]})


def _page(title: str, parts: Iterator[str]) -> str:
    return "\n\n".join([f"# {title}", NOTE, *parts]) + "\n"


def _ops() -> Iterator[str]:
    yield (
        "What a line of an architecture can call. Shapes are (N, C, H, W): images, channels, height, width; in "
        "examples without N. `argument=...` has a default that depends on other arguments."
    )
    members = sorted((op for _, op in OPS.items()), key=lambda op: op.family)
    for family, ops in groupby(members, key=lambda op: op.family):
        yield f"## {family.capitalize()}"
        for op in ops:
            example = re.sub(r"^(.+?\)) makes", r"`\1` makes", example_text(op))
            yield from _entry(reference(op), f"Example: {example}.")


def _passes() -> Iterator[str]:
    yield (
        "What rewrites a graph: under `passes:` in an architecture or a recipe, or from Python. `spdbuild convert` "
        "runs `strided_to_spd`. A pass after which a network cannot be trained is refused in training, both in the "
        "recipe and in its architecture."
    )
    for _, step in PASSES.items():
        yield from _entry(reference(step))


def _recipes() -> Iterator[str]:
    yield (
        "What a recipe can say. On the command line `key.path=value` sets a key and `~key.path` removes it; "
        "`spdbuild show RECIPE` prints a recipe with all its defaults. A section with a `name` is written "
        "`{name: random_crop, padding: 4}`. A key without a default here must be given, but for `optimizer`, "
        "`schedule` and `task`; `empty` is `null`. Without a `name`, `optimizer` changes keys of "
        f"`{_default(default_optimizer())}`, and `schedule` those of `{_default(Cosine())}`; with one, its other keys "
        "have the defaults of its section below."
    )
    yield (
        "The file of a recipe may have the key `extends`: the path of another recipe from its own folder, or a "
        "built-in name. It then has all keys of that recipe, and its own are merged into them key by key, also within "
        "sections and within each entry of `compare`. Lists such as `passes` and `augment` are replaced. A section "
        "with another `name` is replaced, too, and begins with its own defaults. A file cannot take an inherited key "
        "back, but `~compare` on the command line can. Keys with dots (`optimizer.lr`) are for the command line only."
    )
    yield (
        "Weights start as torch initialises its layers, with the biases of `detect` shifted to expect few objects, or "
        "as `init` says, or from `weights`, which overwrite them. The published networks start so, too, but for the "
        "norms of the YOLOs, whose variances start at 0.9. What else is not as published: [protocol](protocol.md)."
    )
    yield (
        "Paths of data, weights and architectures (`data.root`, `data.file`, `weights.file`, `architecture: my.yaml`) "
        "start from the folder in which the command is given. `extends`, and `imports` of an architecture, start from "
        "the file that says them. A run keeps the paths as they were written: to use it from another folder, "
        "say where the data are: `spdbuild eval RUN data.root=...`, `spdbuild train --resume RUN data.root=...`."
    )
    yield (
        "A run that is resumed stays what it was, but for the keys with a \N{CLOCKWISE OPEN CIRCLE ARROW}, which "
        "`spdbuild train --resume RUN key.path=value` may give anew. Its images must still have their names, labels "
        "and boxes, wherever they lie."
    )
    yield "## Keys"
    yield _keys(Recipe)
    for key, cls in (("ema", EmaOptions), ("distill", DistillOptions), ("weights", FirstWeights)):
        yield f"### {key}"
        yield from _section(cls, called=key)
    for title, registry in _CHOICES.items():
        yield f"## {title}"
        if registry is DATASETS:
            yield _PIXELS
            yield _CACHE
        if registry is INITIALIZERS:
            yield from (_PATTERNS, _LAYERS, _FANS)
        if registry is SAMPLINGS:
            yield _DRAWN
        if registry is OPTIMIZERS:
            yield _SCALES
        members = registry.items()
        first, *others = (_described(cls) for _, cls in members)
        common = [key for key in first if all(first[key] == other.get(key) for other in others)]
        if common:
            yield "All have these keys:\n\n" + _keys(members[0][1], common)
        for name, cls in members:
            yield f"### {name}"
            yield from _section(cls, common)


_PIXELS = (
    "Image files become 8-bit RGB, turned upright by the orientation in their EXIF; boxes are of the upright image. "
    "Grey becomes three equal channels. Cameras of 10 to 16 bits, thermal and medical ones, use a part of the range of "
    "their files: `levels: [1000, 3500]` makes the first value black, the second white, and is linear between them. It "
    "applies to grey images of 16 bits, of 32, and of floating point numbers, in training, evaluation and prediction. "
    "Without it, 16-bit grey keeps its upper 8 bits, and `spdbuild data check` names files that become nearly black "
    "or flat, and the log of a run one of a few that it looks at; 32 bits and floating point numbers are refused. "
    "`levels` does not apply to colour, of which only the upper 8 bits are read: with it, colour of 16 bits is "
    "refused; without, it is told like grey. Of a TIFF with further bands the first three are read, or the first one "
    "if it is grey, and the same commands name it; what has more than three bands and is not marked as RGB cannot be "
    "used. Write RGB composites of 8 bits from satellite and multispectral images. An alpha channel is dropped if it "
    "is opaque everywhere; what is partly transparent depends on the page behind it, and counts as a file that cannot "
    "be used, as do images of several frames."
)

_CACHE = (
    "A classifier's data sets of 1,000 files or more are decoded once, if `memory_gib` allows, and kept in the "
    "folder that the environment variable `SPDBUILD_CACHE` names, `~/.cache/spdbuild` if there is none; so are a "
    "detector's with `task.cache: disk`. There is one copy for each split, size and `levels`, which is made anew when "
    "files change; all folds share one, except where boxes are of tiles or bad images are skipped. The folder can be "
    "deleted at any time."
)

_PATTERNS = (
    "Each entry of `init` is a pattern of the names of layers, as in `freeze`, with an initializer, whose name alone "
    'stands for its defaults: `init: {"*": {name: kaiming_normal, mode: fan_out}, "*.spatial2.norm": zeros, '
    "head: torch}` starts `resnet18` as torchvision does with `zero_init_residual`. Where several patterns match a "
    "layer, the last one counts; one that the recipe under `extends` has already, or the run that a twin is compared "
    "with, keeps its position.\n\nWith or without `init`, the first weights of a layer follow from `seed` and its name "
    "alone. So runs of one seed, such as a network and its strided twin, begin with the same weights in every layer "
    "that has the same name, shape and initializer in both; so does a head that `weights.fresh` leaves random."
)

_LAYERS = (
    "A pattern is for the convolutions and linear layers that it matches. If it matches none, it is for the norms, "
    "layer scales, PReLUs, and convolutions in place of pools that it matches: `*` leaves these as they are. Norms "
    "cannot be filled by kaiming, xavier and orthogonal, which need weights of two dimensions. A pattern without a "
    "layer to fill is refused. The bias of a layer whose weight is filled becomes zero, as in torchvision and timm, "
    "except in `detect`, whose biases expect few objects."
)

_FANS = (
    "`fan_in` and `fan_out` are torch's. For a convolution `fan_in` is the number of inputs of one output, and "
    "`fan_out` the channels of all groups of its output times the pixels of its kernel; a transposed convolution has "
    "the two the other way round. For `spd_conv2d` they are those of its convolution over blocks."
)

_DRAWN = (
    "Without `sampling`, an epoch has each training image once. With it, an epoch has as many images, some of them "
    "several times, each time augmented anew, and others not at all. A name alone stands for its defaults: "
    "`sampling: balanced`. The share of a class is that of the training images that have it; an image without a "
    "class counts as one of a class that all have. An image comes as often as its weight says, rounded up or down at "
    "random so that this is the mean. Unlike the independent draws of torch's WeightedRandomSampler, these hardly "
    "leave the shares of classes in an epoch to chance, and have an image once that shall come once. The draw "
    "follows from `seed` and epoch: a run that is resumed goes on with it, and several processes take parts of the "
    "same one. A detector samples by the objects that it learns, images or the tiles that it learns from, and draws "
    "the others of a mosaic likewise. Metrics of an evaluation are of the images as they are: with `task.monitor: "
    "mean_class_top1` all classes count as much. `loss.class_weights: balanced` besides would count rare classes "
    "twice. The log of a run begins with how often an epoch has an image."
)

_SCALES = (
    "With `scales`, a new head learns faster than what comes from a file: `weights: {file: start.safetensors, "
    "fresh: [head]}` and `optimizer: {lr: 0.01, scales: {head: 10}}` train `head` at 0.1. A factor applies to whatever "
    "the schedule gives, `warmup_bias_lr` included. Where several patterns match a parameter, the last one counts; one "
    "that the recipe under `extends` has already, or the run that a twin is compared with, keeps its position. The log "
    "of a run begins with the factors; the `lr` that it tells of an epoch is without them."
)

_CHOICES: dict[str, Registry[Any]] = {
    "Data sets: data": DATASETS,
    "Tasks: task": TASKS,
    "Augmentations: augment and preprocess": AUGMENTATIONS,
    "Samplings: sampling": SAMPLINGS,
    "Losses: loss": LOSSES,
    "Initializers: init": INITIALIZERS,
    "Optimizers: optimizer": OPTIMIZERS,
    "Schedules: schedule": SCHEDULES,
}


def _section(cls: type[Any], left_out: Collection[str] = (), called: str = "") -> Iterator[str]:
    """What a section means, its keys but those `left_out`, and the sections in it.

    called: the key of a section whose class has no name.
    """
    told = documentation(cls)
    yield _escaped(told.summary)
    own = [name for name in _described(cls) if name not in left_out]
    if own:
        yield _keys(cls, own)
    if told.body:
        yield _escaped(told.body)
    if told.source:
        yield f"Source: {_escaped(told.source)}"
    for field in dataclasses.fields(cls):
        inner = type_hints(cls)[field.name]
        if dataclasses.is_dataclass(inner) and isinstance(inner, type) and field.name in own:
            yield f"#### {getattr(cls, 'name', '') or called}: {field.name}"
            yield from _section(inner, called=field.name)


def _described(cls: type[Any]) -> Mapping[str, Any]:
    """The schema of each key."""
    found: Mapping[str, Any] = section_schema(cls)["properties"]
    return found


def _keys(cls: type[Any], chosen: Collection[str] | None = None) -> str:
    """A line for each key, or for those chosen: its default, its values where they are few, and what it means."""
    described, roles = _described(cls), {field.name: role_of(field) for field in dataclasses.fields(cls)}
    lines = []
    for name in described if chosen is None else (name for name in described if name in chosen):
        default = described[name].get("default", dataclasses.MISSING)
        written = "" if default is dataclasses.MISSING or _is_section(default) else f" = {_written(default)}"
        values = [f"`{json.dumps(value)}`" for value in _values(described[name])]
        allowed = f", one of {', '.join(values)}" if len(values) > 1 else ""
        text = described[name].get("description", "")
        resumed = " \N{CLOCKWISE OPEN CIRCLE ARROW}" if Role.RESUMED in roles[name] else ""
        lines.append(f"- `{name}`{resumed}{written}{allowed}" + (f": {_escaped(text)}" if text else ""))
    return "\n".join(lines)


def _values(schema: Mapping[str, Any]) -> list[Any]:
    """The values that a key can have besides `null`, if it has only some."""
    return [value for part in schema.get("anyOf", [schema]) for value in part.get("enum", ())]


def _is_section(default: Any) -> bool:
    return isinstance(default, dict) and bool(default)


def _written(default: Any) -> str:
    return "empty" if default in (None, "", [], {}) else f"`{json.dumps(default)}`"


def _entry(told: Reference, *more: str) -> Iterator[str]:
    yield f"### {told.name}"
    yield f"`{told.call}`"
    yield _escaped(told.summary)
    if told.arguments:
        yield "\n".join(f"- `{argument.name}`: {_escaped(argument.text)}" for argument in told.arguments)
    if told.body:
        yield _escaped(told.body)
    yield from more
    yield f"Source: {_escaped(told.source)}"


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[str]:
    context = click.Context(command, info_name=" ".join(path))
    if len(path) > 1:
        yield f"{'#' * len(path)} {' '.join(path)}"
        yield f"`{' '.join([*path, *command.collect_usage_pieces(context)])}`"
        yield _reflowed(command.help or "")
        options = "\n".join(_options(command, context))
        yield from [options] if options else []
        yield from _verbatim(command.epilog or "")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands(inner, (*path, name))


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    """A line for each option as --help has it, with its values, its default and its range."""
    for parameter in command.params:
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record:
            call, text = (" ".join(part.replace(" RANGE", "").split()) for part in record)
            yield f"- `{call}`: {_escaped(text)}"


def _reflowed(text: str) -> str:
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(_escaped(" ".join(paragraph.split())) for paragraph in paragraphs)


def _verbatim(epilog: str) -> Iterator[str]:
    text = epilog.replace("\b\n", "").strip("\n")
    if text:
        yield f"```text\n{text}\n```"


def _escaped(text: str) -> str:
    """`text` with its stars as stars, and paragraphs that are indented as code in fences."""
    return "\n\n".join(map(_paragraph, text.split("\n\n")))


def _paragraph(text: str) -> str:
    if text.startswith("    "):
        return f"```text\n{dedent(text)}\n```"
    return _without_emphasis(text)


def _without_emphasis(text: str) -> str:
    def escape(found: re.Match[str]) -> Any:
        return found[1] or r"\*"

    return re.sub(r"(`+[^`]+`+)|\*", escape, text)


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")

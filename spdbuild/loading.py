"""A name or path -> an Architecture: its text, its graph, and the options chosen for it."""

from __future__ import annotations

import ast
import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spdbuild import builtin
from spdbuild.architecture.check import check_document
from spdbuild.architecture.document import Document, Finder, IncompleteDocument, parse_document
from spdbuild.architecture.expand import Expansion, expand
from spdbuild.architecture.imports import import_files, imported_file
from spdbuild.architecture.line import Argument, Call
from spdbuild.declaring.arguments import choices, construct, signature, type_hints
from spdbuild.errors import (
    ArgumentError,
    InputError,
    Problem,
    SourceError,
    SpdbuildError,
    UnknownNameError,
    nearest,
    nearest_name,
)
from spdbuild.graph import Graph
from spdbuild.passes import PASSES, GraphPass, run_passes
from spdbuild.shape import Shape
from spdbuild.text.expression import ExpressionError, evaluate
from spdbuild.text.source import Source, Value, read_source
from spdbuild.text.yaml_text import inline

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How shapes are given, in a hint.
_SHAPES = "for example inputs=[(3, 64, 64)]"


@dataclass(frozen=True, eq=False)
class Architecture:
    """A network as written, with a variant chosen and vars set; `diff` tells whether two are the same.

    document: the parsed file. variant, vars: what was chosen. inputs: shapes that replace the declared ones, if any.
    """

    document: Document
    variant: str | None = None
    vars: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[tuple[int, ...], ...] | None = None

    @property
    def name(self) -> str:
        return self.document.model

    def __repr__(self) -> str:
        chosen = {"variant": self.variant, "vars": dict(self.vars), "inputs": self.inputs}
        told = (f"{name}={value}" for name, value in chosen.items() if value)
        return f"Architecture({', '.join([self.name, *told])})"

    @property
    def text(self) -> str:
        """The YAML text of the file."""
        return self.document.source.text

    @property
    def renames(self) -> dict[str, Mapping[str, Value]]:
        """Rename tables, from our weight names to third-party ones: table -> {our pattern: their pattern}."""
        tables = self.document.values.get("rename")
        return {name: dict(table.items()) for name, table in tables.items()} if tables else {}

    @cached_property
    def expansion(self) -> Expansion:
        """The graph as written, before the file's own passes."""
        return expand(self.document, self.variant, self.vars, self.inputs)

    @cached_property
    def passes(self) -> tuple[GraphPass, ...]:
        """The passes that the file asks for."""
        return tuple(pass_of(call) for call in self.document.passes)

    @property
    def graph(self) -> Graph:
        """The network, expanded and after the file's passes: a new copy each time, which the caller may change."""
        return self._graph.copy()

    @cached_property
    def _graph(self) -> Graph:
        graph = self.expansion.graph
        for call, step in zip(self.document.passes, self.passes, strict=True):
            try:
                graph, _ = run_passes(graph, [step])
            except SpdbuildError as error:
                raise error.at(call.location) from None
        return graph


def load(
    architecture: str | Path,
    variant: str | None = None,
    vars: Mapping[str, Any] | None = None,
    inputs: Sequence[Sequence[int]] | None = None,
    *,
    allow_imports: bool = False,
) -> Architecture:
    """`spdbuild.load` of an architecture that is no run."""
    return choose(read_document(source_of(architecture), allow_imports=allow_imports), variant, vars, inputs)


def choose(
    document: Document,
    variant: str | None = None,
    vars: Mapping[str, Any] | None = None,
    inputs: Sequence[Sequence[int]] | None = None,
) -> Architecture:
    """The architecture of a checked document, expanded; the arguments are those of `load`."""
    shapes = None if inputs is None else input_shapes(document.model, len(document.inputs), inputs)
    chosen = Architecture(document, variant, _plain(vars or {}), shapes)
    chosen._graph  # noqa: B018  # Expanding finds the mistakes that reading the file cannot.
    return chosen


def with_inputs(architecture: Architecture, inputs: Sequence[Sequence[int]] | None) -> Architecture:
    """The architecture for other input shapes, one (C, H, W) per input; None: unchanged."""
    if inputs is None:
        return architecture
    return choose(architecture.document, architecture.variant, architecture.vars, inputs)


def input_shapes(name: str, count: int, inputs: Sequence[Sequence[int]]) -> tuple[Shape, ...]:
    """The shapes that replace those of a network's `count` inputs; InputError unless there is one for each."""
    if isinstance(inputs, str) or not all(isinstance(sizes, Iterable) for sizes in inputs):
        raise InputError(f"inputs must be a list of shapes, got {inputs!r}", hint=_SHAPES)
    if len(inputs) != count:
        message = f"{name} has {count} input{'s' * (count != 1)}, got {len(inputs)} shape{'s' * (len(inputs) != 1)}"
        raise InputError(message, hint="give one shape for each input")
    return tuple(_shape(sizes) for sizes in inputs)


def _shape(sizes: Iterable[int]) -> Shape:
    """The sizes as Python's own numbers; InputError for what is no whole number."""
    try:
        if isinstance(sizes, str) or any(isinstance(size, bool) for size in sizes):
            raise TypeError
        return Shape(*map(operator.index, sizes))
    except TypeError:
        raise InputError(f"a shape is made of whole numbers, got {sizes!r}", hint=_SHAPES) from None


def _plain(vars: Mapping[str, Any]) -> dict[str, Any]:
    """The vars with numbers of numpy and torch as Python's own; ArgumentError if they are no mapping."""
    if not isinstance(vars, Mapping):
        hint = "for example vars={'classes': 4}"
        raise ArgumentError(f"vars must be a mapping, got {vars!r}", argument="vars", hint=hint)
    return {name: value.item() if getattr(value, "shape", None) == () else value for name, value in vars.items()}


def loaded(architecture: Architecture | str | Path) -> Architecture:
    """The architecture itself, or the one that a built-in name, a path, or YAML text refers to."""
    return architecture if isinstance(architecture, Architecture) else load(architecture)


def graph_of(network: Architecture | Graph | str | Path) -> Graph:
    """The graph itself, or that of an architecture, which may be given by name, path, or YAML text."""
    return network if isinstance(network, Graph) else loaded(network).graph


def read_document(source: Source, *, allow_imports: bool = False, find: Finder | None = None) -> Document:
    """The checked document of a source; all problems that can be found without expanding it are raised together.

    find: looks up the source that `extends:` names; None: `find_extended`.
    """
    try:
        document, problems = parse_document(source, find or find_extended), []
    except IncompleteDocument as error:
        document, problems = error.document, list(error.problems)
    import_files(document, allow_imports)
    problems += check_document(document)
    problems += _pass_problems(document)
    if problems:
        raise SourceError.gather(problems)
    return document


def pass_of(call: Call) -> GraphPass:
    """The pass that a call under `passes:` names, with its options."""
    try:
        if call.function not in PASSES:
            raise UnknownNameError(f"there is no pass '{call.function}'", hint=nearest(call.function, PASSES))
        kind = PASSES[call.function]
        bound = signature(kind).bind(len(call.positional), [argument.name for argument in call.named])
        written = dict(zip(bound, (*call.positional, *call.named), strict=True))
        for name, argument in written.items():
            _require_quotes(kind, name, argument, call)
        return construct(kind, {name: evaluate(argument.tree, {}, call.text) for name, argument in written.items()})
    except ExpressionError as error:
        raise error.at(call.at(error.offset)) from None
    except ArgumentError as error:
        places = {argument.name: argument.start for argument in call.named}
        raise error.at(call.at(places.get(error.argument, call.start))) from None
    except SpdbuildError as error:
        raise error.at(call.location) from None


def _require_quotes(kind: type[GraphPass], name: str, argument: Argument, call: Call) -> None:
    """Refuse a word without quotes where a text is wanted, with the texts that there are: kernel=exact."""
    tree, texts = argument.tree, choices(type_hints(kind)[name])
    if isinstance(tree, ast.Name) and texts:
        meant = nearest_name(tree.id, texts) or texts[0]
        message = f"a text needs quotes: {name} is one of {', '.join(map(repr, texts))}"
        raise SourceError(message, hint=f"write {name}='{meant}', in a shell within double quotes").at(
            call.at(tree.col_offset)
        )


def find_extended(name: str, extending: Source) -> Source:
    """The source that `extends: name` refers to in a file: a built-in name, or a path relative to that file."""
    return read_source(builtin.find_extended(name, extending.name, "architectures"))


def name_to_extend(path: Path, folder: Path | None) -> str:
    """How a file in `folder` names the file at `path` under `extends:`; without a folder by its absolute path."""
    if builtin.listed("architectures").get(path.stem) == path:
        return path.stem
    return str(path.absolute()) if folder is None else os.path.relpath(path, folder)


def reference_to(architecture: Architecture) -> str:
    """What `source_of` finds the text of an architecture by, from any folder: a name, a path, or the text itself.

    In the text, files beside it are named by absolute paths.
    """
    document = architecture.document
    source, file = document.source, Path(document.source.name)
    if file.is_file() and read_source(file).text == source.text:
        return name_to_extend(file, None)
    named = [(value, imported_file(value)) for value in document.root.get("imports") or ()]
    extends = document.root.get("extends")
    if extends is not None and document.base is not None:
        named.append((extends, Path(name_to_extend(Path(document.base.source.name), None))))
    text = source.text
    for value, path in sorted(named, key=lambda entry: -entry[0].start):
        if path is not None:
            end = value.start + len(text[value.start : value.end].rstrip())
            text = text[: value.start] + inline(path) + text[end:]
    return text


def source_of(name: str | Path, kind: str = "architectures") -> Source:
    """The source that a built-in name, a path, or YAML text (a text with a line break) refers to."""
    if not isinstance(name, str | Path):
        hint = "spdbuild.import_module makes one of a torch module" if hasattr(name, "named_modules") else ""
        raise ArgumentError(
            f"an architecture is a built-in name, a path, or YAML text, got an object of {type(name).__name__}",
            hint="spdbuild.graph.text.graph_text(graph) is its text" if isinstance(name, Graph) else hint,
        )
    if isinstance(name, str) and is_text(name):
        return Source("<text>", name)
    path = builtin.find(str(name), kind)
    try:
        return read_source(path)
    except SourceError as error:
        raise error.at(None, hint=_hint_at_a_run(path, kind)) from None


def is_text(name: str) -> bool:
    """Whether YAML text is meant, which has a line break, rather than a file."""
    # os.path.isfile also takes texts that no path can be, for which Path.is_file raises.
    return "\n" in name and not os.path.isfile(name)  # noqa: PTH113


def _hint_at_a_run(folder: Path, kind: str) -> str:
    """What to give in place of the folder of a run; empty for anything else."""
    if not (folder / "architecture.yaml").is_file():
        return ""
    if kind == "recipes":
        return f"`spdbuild train --resume {folder}` continues this run, whose recipe is {folder / 'recipe.yaml'}"
    network, model = f"spdbuild.load('{folder}')", f"spdbuild.load_model('{folder}').model"
    return f"{network} is the network of this run, and {model} has its weights"


def _pass_problems(document: Document) -> Iterator[Problem]:
    for call in document.passes:
        try:
            pass_of(call)
        except SpdbuildError as error:
            yield from error.problems

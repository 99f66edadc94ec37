"""The pass `strided_to_spd` on an architecture: a new file that keeps its author's lines, and a report."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Unpack

from spdbuild.architecture.document import Document, Finder
from spdbuild.architecture.expand import Expansion, expand
from spdbuild.architecture.imports import imports_of
from spdbuild.conversion.options import SpdOptions
from spdbuild.conversion.plan import CannotRewrite, plan_edits
from spdbuild.conversion.report import ConversionReport
from spdbuild.conversion.rewriting import rewrite, with_settings
from spdbuild.declaring.arguments import call_text, construct, signature
from spdbuild.errors import ArgumentError, InputError, SpdbuildError, nearest
from spdbuild.graph import Graph
from spdbuild.graph.text import graph_text, import_name
from spdbuild.loading import Architecture, find_extended, loaded, name_to_extend, read_document
from spdbuild.passes import Change, GraphPass, run_passes
from spdbuild.passes.strided_to_spd import PRESETS, StridedToSpd
from spdbuild.system.files import refuse_overwriting, write_text
from spdbuild.text.source import Source
from spdbuild.text.yaml_text import inline


def convert(
    architecture: Architecture | str | Path,
    preset: str | None = None,
    *,
    output: str | Path | None = None,
    **options: Unpack[SpdOptions],
) -> tuple[Architecture, ConversionReport]:
    """The architecture with every strided layer rewritten, and what was done.

    Its `text` is that of the whole file, with all variants: `load(text, variant)` needs the name of the one that was
    chosen, which is its `variant`. Vars and inputs that were chosen are written into the text.

    architecture: an architecture, or its built-in name, a path, or YAML text; that of a run is `spdbuild.load(run)`.
    preset: "paper", "released-yolov5" or "released-resnet"; `options` override those of the preset.
    options: those of the pass `strided_to_spd`.
    output: file that the text is written to. Where the text extends the old file, it names that relative to this one,
        and else relative to the old file itself.

    Raises InputError, with nothing written, where `output` is the old file or cannot be written.
    """
    architecture, file = loaded(architecture), None if output is None else Path(output)
    refuse_overwriting(file, Path(architecture.document.source.name))
    converted, report = convert_by(spd_pass(preset, options), architecture, file)
    if file is not None:
        write_text(file, converted.text)
    return converted, report


def convert_by(
    step: StridedToSpd, architecture: Architecture, output: Path | None = None
) -> tuple[Architecture, ConversionReport]:
    """`convert` by a pass, with nothing written. output: where the text will be, if anywhere."""
    graph, changes = run_passes(architecture.graph, [step])
    report = ConversionReport(architecture.graph, graph, tuple(changes), call_text(step))
    if not report.replaced:
        return architecture, report
    file = output or Path(architecture.document.source.name).with_name(f"{_new_name(architecture.name)}.yaml")
    try:
        return _rewritten(architecture, step, graph, file), report
    except (CannotRewrite, SpdbuildError) as error:
        report = dataclasses.replace(report, overlay=_reason(error))
    try:
        return _extending(architecture, step, graph, file), report
    except (CannotRewrite, SpdbuildError) as error:
        report = dataclasses.replace(report, flat=_reason(error))
    return _flat(architecture, step, graph, file), report


def spd_pass(preset: str | None, options: Mapping[str, Any]) -> StridedToSpd:
    """The pass of a preset with some options overridden."""
    if preset is not None and preset not in PRESETS:
        raise InputError(f"there is no preset '{preset}'", hint=nearest(preset, PRESETS))
    known = signature(StridedToSpd).arguments
    for name in options:
        if name not in known:
            raise ArgumentError(f"strided_to_spd has no option '{name}'", argument=name, hint=nearest(name, known))
    return construct(StridedToSpd, {**PRESETS.get(preset or "", {}), **options})


def _reason(error: CannotRewrite | SpdbuildError) -> str:
    if not isinstance(error, SpdbuildError):
        return str(error)
    problem = error.problems[0]
    written = problem.location.text.strip() if problem.location else ""
    return f"the line would become '{written}': {problem.message}" if written else problem.message


def _rewritten(architecture: Architecture, step: StridedToSpd, graph: Graph, file: Path) -> Architecture:
    """The author's lines, changed; CannotRewrite, or the error of reading them, if they do not give `graph`."""
    converted = _read(_rewritten_text(architecture, step, file), file, architecture)
    differing = _first_difference(converted.graph, graph)
    if differing:
        place = graph[differing].origin.location if differing in graph else None
        raise CannotRewrite(f"rewritten lines would change '{differing}' too, whose line depends on channels", place)
    return converted


def _extending(architecture: Architecture, step: StridedToSpd, graph: Graph, file: Path) -> Architecture:
    """A file that extends the old one; CannotRewrite, or the error of reading it, if it does not give `graph`."""
    if not Path(architecture.document.source.name).is_file():
        raise CannotRewrite("there is no file to extend")
    converted = _read(_extending_text(architecture, step, file, _new_name(architecture.name)), file, architecture)
    differing = _first_difference(converted.graph, graph)
    if differing:
        raise CannotRewrite(f"'{differing}' would differ")
    return converted


def extending(architecture: Architecture, step: GraphPass) -> Architecture:
    """The architecture after one more pass of any kind: a text that extends the old one, which need not be a file.

    Raises PassError, without a place, where the pass cannot do what its options ask.
    """
    run_passes(architecture.graph, [step])
    source = architecture.document.source
    file = Path(source.name).with_name(f"{Path(source.name).stem}_{step.name}.yaml")
    text = _extending_text(architecture, step, file, architecture.name)
    return _read(text, file, architecture, _finder(architecture.document))


def settled(architecture: Architecture) -> Architecture:
    """The same network from a text that needs no choice of vars and inputs, because it has them as its own.

    They replace the values in the author's lines; where these cannot be edited, the text extends the old one.
    """
    settings = _choices(architecture)
    if not settings:
        return architecture
    document, find = architecture.document, _finder(architecture.document)
    file = Path(document.source.name)
    try:
        kept = _read(with_settings(document, settings), file, architecture, find)
        counts = {f"expect.{what}": counts for what, counts in _expected(kept).items()}
        kept = _read(with_settings(document, settings | counts), file, architecture, find)
        if not _first_difference(kept.graph, architecture.graph):
            return kept
    except (CannotRewrite, SpdbuildError):
        pass
    file = file.with_name(f"{file.stem}_chosen.yaml")
    return _read(_extending_text(architecture, None, file, architecture.name), file, architecture, find)


def _choices(architecture: Architecture) -> dict[str, Any]:
    """The values of vars and inputs that differ from those of the file, by their keys."""
    document = architecture.document
    own = {**document.vars, **document.variants.get(architecture.variant or "", {})}
    chosen = {_key(architecture, name): value for name, value in architecture.vars.items() if own.get(name) != value}
    shapes = zip(document.inputs.items(), architecture.inputs or (), strict=False)
    return chosen | {f"inputs.{name}": list(sizes) for (name, old), sizes in shapes if old != list(sizes)}


def _finder(document: Document) -> Finder:
    """A finder that gives the sources of a document and its bases as they were read, and reads any others."""
    known: dict[str, Source] = {}
    base: Document | None = document
    while base is not None:
        known[os.path.normpath(base.source.name)] = base.source
        base = base.base

    def find(name: str, extending: Source) -> Source:
        return known.get(os.path.normpath(Path(extending.name).parent / name)) or find_extended(name, extending)

    return find


def _flat(architecture: Architecture, step: StridedToSpd, graph: Graph, file: Path) -> Architecture:
    """One line per layer, under flat names; InputError if not even these lines give `graph`."""
    named = graph.copy()
    named.name = _new_name(architecture.name)
    text = graph_text(named, file.parent)
    converted = _read(f"# {_note(architecture, step)}\n{text}", file, architecture)
    if graph_text(converted.graph, file.parent) != text:
        raise InputError(f"{architecture.name} cannot be written as a file: its lines would give another network")
    return converted


def _first_difference(one: Graph, other: Graph) -> str:
    """Name of the first layer that two graphs do not share; empty if they are equal."""
    names = (a.name for a, b in zip(other, one, strict=False) if a != b)
    return next(names, "") or ("" if one == other else "the output")


def _read(text: str, file: Path, original: Architecture, find: Finder | None = None) -> Architecture:
    document = read_document(Source(str(file), text), allow_imports=True, find=find)
    variant = original.variant if document.variants else None
    return Architecture(document, variant, {}, None)


def _rewritten_text(architecture: Architecture, step: StridedToSpd, file: Path) -> str:
    document = architecture.document
    if document.base or document.passes:
        raise CannotRewrite("the file extends another one or runs passes itself")
    if "model" not in document.root.data:
        raise CannotRewrite("the file has no name")
    variants: Iterable[str | None] = document.variants or [None]
    plan = plan_edits(document, [_converted(architecture, variant, step) for variant in variants])
    settings: dict[str, Any] = {"model": _new_name(architecture.name)}
    imports = [import_name(entry, file.parent) for entry in imports_of(document)]
    if imports != document.plain("imports", []):
        settings["imports"] = imports
    settings |= {_key(architecture, name): value for name, value in architecture.vars.items()}
    if architecture.inputs is not None:
        names = document.inputs
        settings |= {f"inputs.{name}": sizes for name, sizes in zip(names, architecture.inputs, strict=True)}
    note = _note(architecture, step)
    text = rewrite(document, plan, settings, note)
    expected = {f"expect.{what}": counts for what, counts in _expected(_read(text, file, architecture)).items()}
    return rewrite(document, plan, settings | expected, note) if expected else text


def _key(architecture: Architecture, var: str) -> str:
    """The key of a var: in the chosen variant if that has it, else in the vars of all variants."""
    own = architecture.document.variants.get(architecture.variant or "", {})
    return f"variants.{architecture.variant}.{var}" if var in own else f"vars.{var}"


def _converted(architecture: Architecture, variant: str | None, step: StridedToSpd) -> tuple[Expansion, list[Change]]:
    expansion = expand(architecture.document, variant, architecture.vars, architecture.inputs)
    _, changes = run_passes(expansion.graph, [step])
    return expansion, changes


def _expected(architecture: Architecture) -> dict[str, Any]:
    """The counts under `expect:` as they are in an edited file."""
    document = architecture.document
    wanted = document.plain("expect", {})
    graphs = (
        {variant: Architecture(document, variant).graph for variant in document.variants or [None]} if wanted else {}
    )

    def count(what: str, old: Any) -> Any:
        if isinstance(old, dict):
            return {variant: getattr(graphs[variant], what) for variant in old}
        return getattr(next(iter(graphs.values())), what)

    return {what: count(what, old) for what, old in wanted.items()}


def _extending_text(architecture: Architecture, step: GraphPass | None, file: Path, name: str) -> str:
    """Lines that extend the architecture and run a pass. file: where they will be written. name: of the new one."""
    path = Path(architecture.document.source.name)
    lines = [f"model: {name}", f"extends: {inline(name_to_extend(path, file.parent))}"]
    own = architecture.document.variants.get(architecture.variant or "", {})
    if architecture.vars.keys() - own.keys():
        lines.append(f"vars: {inline({n: value for n, value in architecture.vars.items() if n not in own})}")
    if architecture.vars.keys() & own.keys():
        variant = {name: architecture.vars.get(name, value) for name, value in own.items()}
        lines.append(f"variants: {inline({architecture.variant: variant})}")
    if architecture.inputs is not None:
        names = architecture.document.inputs
        lines.append(f"inputs: {inline(dict(zip(names, architecture.inputs, strict=True)))}")
    passes = ["passes:", f"  - {call_text(step)}"] if step else []
    return "\n".join([*lines, *passes, ""])


def _note(architecture: Architecture, step: StridedToSpd) -> str:
    """The first comment of a file that does not extend the one that it was made from."""
    return f"Converted from {architecture.name} by {call_text(step)}"


def _new_name(name: str) -> str:
    return name if name.endswith("_spd") else f"{name}_spd"

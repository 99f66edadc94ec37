"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from spdbuild import builtin
from spdbuild.errors import InputError

if TYPE_CHECKING:
    from spdbuild.architecture.document import Document
    from spdbuild.loading import Architecture
    from spdbuild.training.trained.stored_graph import StoredGraph
    from spdbuild.weights import StoredWeights
    from spdbuild.weights.facts import Facts

Function = Callable[..., Any]


class BuiltinName(click.ParamType):  # type: ignore[type-arg]
    """A path, or the name of a file that comes with the package; completion offers both."""

    name = "name"

    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        known = [name for kind in self.kinds for name in builtin.listed(kind)]
        names = [CompletionItem(name) for name in known if name.startswith(incomplete)]
        return [*names, CompletionItem(incomplete, type="file")]


class PngFile(click.Path):
    """A path that ends in .png: a picture under another name would open in no program."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(value)
        if path.suffix.lower() != ".png":
            self.fail(f"'{path}' does not end in .png; use {path.with_suffix('.png')}", param, ctx)
        return super().convert(value, param, ctx)


class SafetensorsFile(click.Path):
    """A path for weights that are written as safetensors: other programs read a file as what its name says."""

    #: Names of what torch and others write.
    _OTHERS = frozenset((".pt", ".pth", ".pt2", ".ckpt", ".bin", ".onnx", ".npz"))

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(value)
        if path.suffix.lower() in self._OTHERS:
            self.fail(f"weights are written as safetensors; use {path.with_suffix('.safetensors')}", param, ctx)
        if str(path) == "-":
            self.fail("weights are written into a file, not to the standard output", param, ctx)
        return super().convert(value, param, ctx)


class DependentOption(click.Option):
    """An option that means nothing without another one, and is refused without it.

    needs: the other one, as it is typed. why: what for; it follows that name in the message.
    """

    def __init__(self, *names: Any, needs: str, why: str = "", **options: Any) -> None:
        super().__init__(*names, **options)
        self.needs, self.why = needs, why

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        needed = next(param for param in ctx.command.params if self.needs in param.opts)
        if self.name in opts and needed.name not in opts:
            raise click.UsageError(f"{self.opts[0]} needs {self.needs}{self.why}", ctx)
        return super().handle_parse_result(ctx, opts, args)


class FormOption(click.Option):
    """One of the forms in which results are printed; several of them are refused."""

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        forms = [param for param in ctx.command.params if isinstance(param, FormOption) and param.name in opts]
        if len(forms) > 1:
            given = " and ".join(param.opts[0] for param in forms)
            raise click.UsageError(f"{given} do not go together: give one of them", ctx)
        return super().handle_parse_result(ctx, opts, args)


def repeated_option(*names: str, help: str, **options: Any) -> Callable[[Function], Function]:
    """An option that may be given several times, which its help says."""
    return click.option(*names, multiple=True, help=f"{help} May be repeated.", **options)


def runs_option(what: str) -> Callable[[Function], Function]:
    """`--runs FOLDER`. what: is made in it."""
    return click.option(
        "--runs",
        type=PATH,
        metavar="FOLDER",
        default=Path("runs"),
        show_default=True,
        help=f"Folder in which {what} made.",
    )


ARCHITECTURE = BuiltinName("architectures")
PATH = click.Path(path_type=Path)
SAFETENSORS = SafetensorsFile()

json_option = click.option("--json", "as_json", cls=FormOption, is_flag=True, help="Print one JSON document on stdout.")
markdown_option = click.option("--markdown", cls=FormOption, is_flag=True, help="Print a Markdown table.")
imports_option = click.option(
    "--allow-imports", is_flag=True, help="Run the Python files that an architecture names under 'imports:'."
)


def output_option(what: str) -> Callable[[Function], Function]:
    """`-o FILE`."""
    return click.option("-o", "--output", type=PATH, metavar="FILE", help=f"Write {what} to FILE.")


@dataclass(frozen=True)
class Choice:
    """Which network of a file the options select."""

    variant: str | None
    vars: Mapping[str, Any]
    inputs: tuple[tuple[int, ...], ...] | None
    allow_imports: bool

    def document(self, name: str) -> Document:
        """The checked file of a path or built-in name."""
        from spdbuild.loading import read_document, source_of

        try:
            source = source_of(name)
        except builtin.NoSuchFileError as error:
            from spdbuild.training.folder.run_folder import no_run_or

            raise no_run_or("architecture", name, error.problems[0].hint) from None
        return read_document(source, allow_imports=self.allow_imports)

    def load(self, name: str) -> Architecture:
        """The architecture of a path or built-in name, or the one that a run has trained, by the run's folder."""
        return self.run(name)[0] if Path(name).is_dir() else self.of(self.document(name))

    def run(self, folder: str, weights: StoredWeights | None = None) -> tuple[Architecture, StoredWeights, Facts]:
        """The network that a run has trained, `weights` or else its best, and the facts in its own weights."""
        self.require_none(folder)
        from spdbuild.training.trained.stored_run import run_architecture

        architecture, source, _, facts = run_architecture(
            folder, weights, self.inputs, allow_imports=self.allow_imports
        )
        return architecture, source, facts

    def network(self, name: str, weights: StoredWeights | None) -> StoredGraph:
        """The network of a path or built-in name with `weights`, or of a run's folder, whose best they override."""
        from spdbuild.training.trained.stored_graph import stored_graph

        source = self.source(name)
        inputs = self.inputs if source is name else None
        return stored_graph(source, weights, inputs, allow_imports=self.allow_imports)

    def source(self, name: str) -> str | Architecture:
        """The folder of a run as it is, or the architecture of a path or built-in name."""
        if not Path(name).is_dir():
            return self.load(name)
        self.require_none(name)
        return name

    def require_none(self, run: str) -> None:
        """Refuse options that would change the network in a run's folder; raises InputError."""
        if self.variant or self.vars:
            hint = "leave --variant and --var out"
            raise InputError(f"{run} is a run, and has the network that it trained", hint=hint)

    def of(self, document: Document) -> Architecture:
        """The architecture of a checked file."""
        from spdbuild.loading import choose

        return choose(document, self.variant, self.vars, self.inputs)


def choice_options(function: Function) -> Function:
    """Options that select a network of an architecture file; the function gets them as `choice`."""

    @click.option("--variant", help="Variant of the architecture.")
    @repeated_option("--var", "variables", metavar="NAME=VALUE", help="Set a var.")
    @click.option("--input", "inputs", multiple=True, metavar="C,H,W", help="Input shape; one for each input.")
    @imports_option
    @functools.wraps(function)
    def wrapper(
        variant: str | None, variables: tuple[str, ...], inputs: tuple[str, ...], allow_imports: bool, **rest: Any
    ) -> Any:
        shapes = tuple(map(parse_shape, inputs)) or None
        choice = Choice(variant, dict(map(parse_variable, variables)), shapes, allow_imports)
        return function(choice=choice, **rest)

    return wrapper


def parse_shape(text: str) -> tuple[int, ...]:
    """`3,64,64` -> (3, 64, 64)."""
    try:
        sizes = tuple(map(int, text.split(",")))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise InputError(f"--input must be sizes such as 3,64,64, got '{text}'")
    return sizes


def parse_variable(text: str) -> tuple[str, Any]:
    """`classes=10` -> ("classes", 10); the value is YAML."""
    from spdbuild.text.source import Source, parse_yaml

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError(f"--var must be NAME=VALUE, got '{text}'", hint="for example --var classes=10")
    return name, parse_yaml(Source(f"--var {name}", value)).plain() if value.strip() else None

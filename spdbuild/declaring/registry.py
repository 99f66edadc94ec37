"""Classes by name, found in a package, in entry points and in files that an architecture imports."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from spdbuild.errors import InputError, Problem, UnknownNameError, first_line, nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

#: Shared by all registries: the modules of one may look up the members of another.
_LOCK = threading.RLock()


class Registry(Generic[T]):
    """Classes by name.

    kind: what a member is called in messages ("op").
    package: the package whose modules register the built-in members; it is imported on the first lookup.
    group: the entry-point group under which installed packages offer more; read only when a name is unknown or all are
        listed, because reading entry points takes longer than everything else here.
    """

    def __init__(self, kind: str, package: str, group: str) -> None:
        self.kind, self.package, self.group = kind, package, group
        self._classes: dict[str, type[T]] = {}
        self._begun: set[str] = set()
        self._done: set[str] = set()
        self._broken: list[tuple[EntryPoint, Exception]] = []

    def register(self, cls: type[T]) -> type[T]:
        """Class decorator; the name is `cls.name` where the class has one, else the class name in snake case."""
        if not cls.__module__.startswith(f"{self.package}."):
            # A taken name must be refused here, and not later, when the built-in class of that name registers.
            self._discover()
        name = vars(cls).get("name") or snake_case(cls.__name__)
        if not dataclasses.is_dataclass(cls):
            hint = "put @dataclass(frozen=True) between the registering and the class"
            raise InputError(f"the {self.kind} '{name}' of {cls.__module__} is no dataclass", hint=hint)
        known = self._classes.get(name)
        if known is not None and _home(known) != _home(cls):
            raise InputError(f"two {self.kind}s are called '{name}': {known.__module__} and {cls.__module__}")
        cls.name = name  # type: ignore[attr-defined]
        self._classes[name] = cls
        return cls

    def __getitem__(self, name: str) -> type[T]:
        if name not in self:
            raise UnknownNameError(f"there is no {self.kind} '{name}'", hint=nearest(name, self))
        return self._classes[name]

    def __contains__(self, name: object) -> bool:
        self._discover()
        if name not in self._classes:
            self._plug_in()
        if name not in self._classes:
            self._refuse_broken()
        return name in self._classes

    def __iter__(self) -> Iterator[str]:
        self._discover()
        self._plug_in()
        self._refuse_broken()
        return iter(sorted(self._classes))

    def items(self) -> list[tuple[str, type[T]]]:
        return [(name, self._classes[name]) for name in self]

    def _discover(self) -> None:
        self._once("discovery", self._import_package)

    def _plug_in(self) -> None:
        self._once("plug-ins", self._load_entry_points)

    def _once(self, step: str, work: Callable[[], None]) -> None:
        """Run a step that has not run yet; other threads wait until it has."""
        if step in self._done:
            return
        with _LOCK:
            # The imported modules may look members up themselves, before all are registered.
            if step in self._begun:
                return
            self._begun.add(step)
            try:
                work()
            except BaseException:
                self._begun.remove(step)
                raise
            self._done.add(step)

    def _import_package(self) -> None:
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")

    def _load_entry_points(self) -> None:
        from importlib.metadata import entry_points

        for point in entry_points(group=self.group):
            try:
                point.load()
            except Exception as error:
                self._broken.append((point, error))

    def _refuse_broken(self) -> None:
        """Raise InputError if an entry point does not load: what it offers cannot be told from what does not exist."""
        if self._broken:
            raise InputError.gather(_problem(*broken) for broken in self._broken) from self._broken[0][1]

    def __repr__(self) -> str:
        members: Any = ", ".join(sorted(self._classes))
        return f"Registry({self.kind}: {members})"


def _problem(point: EntryPoint, error: Exception) -> Problem:
    assert point.dist is not None  # importlib.metadata sets it on every entry point that it finds
    hint = f"upgrade or uninstall {point.dist.name}"
    return Problem(f"{entry_point_text(point)} does not load: {first_line(error)}", hint=hint)


def entry_point_text(point: EntryPoint) -> str:
    """An entry point as messages name it, with its package."""
    assert point.dist is not None  # importlib.metadata sets it on every entry point that it finds
    return f"the entry point '{point.name}' of {point.group} in the package {point.dist.name} {point.dist.version}"


def _home(cls: type[Any]) -> tuple[str, str]:
    """Where a class is defined, regardless of the version of its file."""
    return cls.__module__.partition("@")[0], cls.__qualname__


def snake_case(name: str) -> str:
    """`SpaceToDepth` -> `space_to_depth`, `Conv2d` -> `conv2d`, `ReLU6` -> `relu6`."""
    parts = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", parts).lower()

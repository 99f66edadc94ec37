"""What the conversion of a module did, what it left, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Replaced:
    """A strided place that was replaced.

    name: of the new layer. kind: what it computed: conv2d, max_pool2d or avg_pool2d.
    at: the line of Python that asked for it, file:line; empty if the example did not run it.
    before, after: numbers of the layer: kernel, stride, params, macs and so on.
    exact: whether the new layer computes exactly the same function.
    """

    name: str
    kind: str
    at: str
    before: dict[str, Any]
    after: dict[str, Any]
    exact: bool


@dataclass(frozen=True)
class Kept:
    """A strided place that stays, and why."""

    name: str
    kind: str
    at: str
    why: str


@dataclass(frozen=True)
class Cost:
    """Trained and untrained parameters, and the multiply-accumulates of one run on the example."""

    parameters: int
    macs: int

    def to_dict(self) -> dict[str, int]:
        return {"params": self.parameters, "macs": self.macs}


@dataclass(frozen=True)
class ModuleReport:
    """The strided places of a module, in the order in which the example ran them.

    replaced: those that are SPD-Conv now. kept: layers that stay, by an option or for a reason.
    unseen: what the example computes in code where neither a layer nor torch.fx reveals it; it stays as well.
    error: greatest difference between the outputs before and after, divided by the greatest output before; both in
        evaluation, on the example. None if the module returns no tensors.
    residuals: for each fitted max pool, the share of its output's variance that its replacement leaves unexplained.
    """

    replaced: tuple[Replaced, ...]
    kept: tuple[Kept, ...]
    unseen: tuple[Kept, ...]
    before: Cost
    after: Cost
    error: float | None
    residuals: dict[str, float]

    @property
    def left(self) -> tuple[Kept, ...]:
        """All that is still strided."""
        return self.kept + self.unseen

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, with the keys of `spdbuild convert --json`, and `unseen` and `error`."""
        return {
            "replaced": [_plain(entry) for entry in self.replaced],
            "kept": [_plain(entry) for entry in self.kept],
            "unseen": [_plain(entry) for entry in self.unseen],
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "error": self.error,
            "residuals": self.residuals,
        }

    def __repr__(self) -> str:
        return f"ModuleReport({self._counts()})"

    def __str__(self) -> str:
        error = "the outputs were not compared" if self.error is None else f"relative error {self.error:.1e}"
        params = f"parameters {self.before.parameters:,} -> {self.after.parameters:,}"
        macs = f"MACs {self.before.macs:,} -> {self.after.macs:,}"
        return "\n".join([f"{self._counts()}; {error}", f"{params}, {macs}", *map(_line, self.left)])

    def _counts(self) -> str:
        return f"{len(self.replaced)} replaced, {len(self.kept)} kept, {len(self.unseen)} not seen"


def _plain(entry: Replaced | Kept) -> dict[str, Any]:
    return {("op" if name == "kind" else name): value for name, value in vars(entry).items()}


def _line(kept: Kept) -> str:
    return f"{kept.name} ({kept.kind}{', ' + kept.at if kept.at else ''}): {kept.why}"

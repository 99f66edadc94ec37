"""Third-party tensors -> the state_dict of our model, and what became of each of them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spdbuild.errors import Problem, UnknownNameError, WeightsError, nearest
from spdbuild.graph import Graph
from spdbuild.phases import Order
from spdbuild.text.source import Value
from spdbuild.weights.contents import TensorInfo
from spdbuild.weights.orders import Reordering, find_reorderings
from spdbuild.weights.permute import fold_kernel, folding_block, permute_order, unfold_kernel
from spdbuild.weights.prefixes import averaging_counts, choose_reading
from spdbuild.weights.rename import Rule, compile_rules, rename, stated_order
from spdbuild.weights.report import Entry, Matching, choice_hint
from spdbuild.wording.phrases import some
from spdbuild.wording.quantities import shapes_text

if TYPE_CHECKING:
    from torch import Tensor, nn

SHOWN = 8
#: Names of each side that are shown where nothing fits.
FIRST = 3
#: How the names of batch norms' counters end; what they count is not learned.
COUNTER = ".num_batches_tracked"


def describe_module(module: nn.Module) -> dict[str, TensorInfo]:
    """The tensors that a module needs, in the order of its state_dict; a module on the meta device is enough."""
    return {
        name: TensorInfo(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), tensor.nbytes)
        for name, tensor in module.state_dict().items()
    }


def match(
    target: Mapping[str, TensorInfo],
    theirs: Mapping[str, Tensor],
    rules: Sequence[Rule] = (),
    *,
    reorderings: Mapping[str, Reordering] | None = None,
    order: Order = "column_row_channel",
    prefix: str = "",
) -> tuple[dict[str, Tensor], Matching]:
    """The tensors that `target` asks for, taken from `theirs` where they fit, and what became of each.

    rules: lead from our names to theirs. reorderings: by our names.
    order: of the channels of a file's space_to_depth that is folded into a strided convolution of ours.
    prefix: what stands before their names, such as "module."; tensors without it are not used.
    """
    names = {name: prefix + rename(name, rules) for name in target}
    _check_one_to_one(names)
    matched = {
        name: _match_one(name, info, names[name], theirs.get(names[name]), (reorderings or {}).get(name), order)
        for name, info in target.items()
    }
    used = set(names.values())
    unused = [Entry("unused", None, name, None, tuple(t.shape)) for name, t in theirs.items() if name not in used]
    matching = Matching((*(entry for _, entry in matched.values()), *unused), prefix=prefix)
    return {name: tensor for name, (tensor, _) in matched.items() if tensor is not None}, matching


def match_any(
    target: Mapping[str, TensorInfo],
    theirs: Mapping[str, Tensor],
    tables: Mapping[str, Mapping[str, Value | str]],
    *,
    table: str | None = None,
    graph: Graph | None = None,
    whole: Mapping[str, TensorInfo] | None = None,
    prefix: str | None = None,
) -> tuple[dict[str, Tensor], Matching]:
    """`match` with the table that finds most: the one called `table`, or one of `tables`, or our own names.

    What an AveragedModel counts is no weight.

    tables: rename tables as written. The files of one that states an order of the channels of space_to_depth have that
        order; those of any other table, or under our own names, have the order of the network.
    graph: the network of `target`.
    whole: what the network needs, where `target` is a part of it; the rest of it in the file is no other network.
    prefix: what stands before the names of the file; other tensors are then passed over. By default that with which
        most weights fit, as for names that a wrapper holds or that are a part of a larger network.
    Raises UnknownNameError for a table that does not exist, and SeveralFitError if other tensors of the file, behind
    another prefix, fit as well.
    """
    if table is not None and table not in tables:
        raise UnknownNameError(f"there is no rename table '{table}'", hint=nearest(table, tables))
    chosen = {"": {}, **tables} if table is None else {table: tables[table]}
    known = {name: compile_rules(lines) for name, lines in chosen.items()}
    counts = averaging_counts(theirs)
    if prefix and not prefix.endswith("."):
        prefix += "."
    theirs = _behind({name: tensor for name, tensor in theirs.items() if name not in counts}, prefix)
    sizes = {
        name: {rename(ours, rules): math.prod(info.shape) for ours, info in (whole or target).items()}
        for name, rules in known.items()
    }
    best, prefix = choose_reading(sizes, {name: tensor.numel() for name, tensor in theirs.items()}, prefix)
    order = stated_order(chosen[best])
    state, matching = match(
        target,
        theirs,
        known[best],
        reorderings=find_reorderings(graph, order) if graph else None,
        order=order or "column_row_channel",
        prefix=prefix,
    )
    return state, replace(matching, table=best)


def _behind(theirs: Mapping[str, Tensor], prefix: str | None) -> Mapping[str, Tensor]:
    """The tensors that have the prefix; WeightsError if none has."""
    behind = {name: tensor for name, tensor in theirs.items() if name.startswith(prefix or "")}
    if theirs and not behind:
        raise WeightsError(f"no weight is behind '{prefix}'", hint=f"the file has {some(list(theirs), FIRST)}")
    return behind


def _check_one_to_one(names: Mapping[str, str]) -> None:
    ours: dict[str, str] = {}
    for name, their_name in names.items():
        if their_name in ours:
            raise WeightsError(
                f"the rename table gives '{ours[their_name]}' and '{name}' the same name '{their_name}'",
                hint="a rule is missing or matches too much",
            )
        ours[their_name] = name


def _match_one(
    name: str, info: TensorInfo, their_name: str, tensor: Tensor | None, reordering: Reordering | None, order: Order
) -> tuple[Tensor | None, Entry]:
    """The tensor that the model gets under `name`, or None, and what became of it."""
    if tensor is None:
        return _absent(name, info, their_name)
    entry = Entry("loaded", name, their_name, info.shape, tuple(tensor.shape))
    fitted, note = _fit(tensor, info.shape, reordering, order)
    if fitted is None:
        return None, replace(entry, status="mismatch", note=f"needs {_times(info.shape)}, has {_times(tensor.shape)}")
    if note:
        entry = replace(entry, status="permuted", note=note)
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype == info.dtype:
        return fitted, entry
    if not (tensor.is_floating_point() and "float" in info.dtype):
        return None, replace(entry, status="mismatch", note=f"needs {info.dtype}, has {dtype}")
    cast = f"{dtype} -> {info.dtype}"
    return _cast(fitted, info.dtype), replace(
        entry, status="permuted" if note else "cast", note=f"{note}; {cast}" if note else cast
    )


def _absent(name: str, info: TensorInfo, their_name: str) -> tuple[Tensor | None, Entry]:
    import torch

    if name.endswith(COUNTER):
        # Files from before torch 0.4.1 have no counters, and nothing but a momentum of None reads them.
        note = "not counted in the file: 0"
        return torch.zeros(info.shape, dtype=torch.int64), Entry("initial", name, None, info.shape, None, note)
    return None, Entry("missing", name, their_name, info.shape)


def _fit(
    tensor: Tensor, shape: tuple[int, ...], reordering: Reordering | None, order: Order
) -> tuple[Tensor | None, str]:
    """`tensor` in the wanted shape and order, with a note if it was changed; None if that is impossible.

    reordering: None for a weight that reads no channels of space_to_depth. order: see `match`.
    """
    theirs = tuple(tensor.shape)
    if theirs == shape:
        if reordering is None or reordering.source == reordering.target:
            return tensor, ""
        source, target = reordering.source, reordering.target
        return permute_order(tensor, source, target, reordering.block, reordering.axis), f"{source} -> {target}"
    source, target = (reordering.source, reordering.target) if reordering else (order, "column_row_channel")
    if block := folding_block(shape, theirs):
        return fold_kernel(tensor, block, source), f"space_to_depth({block}) and its kernel -> stride {block}"
    if block := folding_block(theirs, shape):
        return unfold_kernel(tensor, block, target), f"stride {block} -> space_to_depth({block}) and its kernel"
    if [size for size in theirs if size != 1] == [size for size in shape if size != 1]:
        return tensor.reshape(shape), f"{_times(theirs)} -> {_times(shape)}"
    return None, ""


def _cast(tensor: Tensor, dtype: str) -> Tensor:
    import torch

    wanted: torch.dtype = getattr(torch, dtype)
    return tensor.to(wanted)


def require_fit(matching: Matching, *, in_file: bool = True) -> None:
    """Raise WeightsError, with what is missing, not used, or of another shape, unless all weights fit.

    in_file: as in `misfits`.
    """
    if not matching.fits:
        raise WeightsError.gather(misfits(matching, in_file=in_file))


def misfits(matching: Matching, *, in_file: bool = True) -> Iterator[Problem]:
    """Why weights do not fit exactly: all missing ones, all unused ones, and each mismatch as a problem.

    in_file: whether they are in a file; else they are a state_dict, which the caller names.
    """
    holder = "the file" if in_file else "it"
    needed = sum(entry.name is not None for entry in matching.entries)
    missing, unused = ([entry.theirs or "" for entry in matching.having(status)] for status in ("missing", "unused"))
    mismatches = matching.having("mismatch")
    if missing:
        yield Problem(
            f"{len(missing)} of {needed} weights are not in {holder}: {some(missing, SHOWN)}",
            hint=_near(missing, unused, holder) or elsewhere_hint(matching),
        )
    if unused:
        partly = "`spdbuild weights import --partial` takes only what fits" if in_file else "leave them out of it"
        yield Problem(
            f"{len(unused)} weights of {holder} are not used: {some(unused, SHOWN)}",
            hint=partly if _taken(matching) else "",
        )
    for entry in mismatches[:SHOWN]:
        renamed = f" ('{entry.theirs}')" if entry.theirs != entry.name else ""
        yield Problem(f"'{entry.name}'{renamed} {entry.note}")
    if len(mismatches) > SHOWN:
        yield Problem(f"{len(mismatches) - SHOWN} more weights do not agree")


def elsewhere_hint(matching: Matching) -> str:
    """Which other keys of a checkpoint have weights, where those that were taken lack some; else empty."""
    if not matching.other_keys or not matching.having("missing"):
        return ""
    keys = some([f"'{key}'" for key in matching.other_keys], FIRST)
    return f"there are also weights under {keys}: {choice_hint('key', matching.other_keys[0])}"


def require_some(matching: Matching, file: Path | str, network: str) -> None:
    """Raise WeightsError, with the first names of both sides, if no learned weight of a file fits.

    network: its name in the message.
    """
    if _taken(matching):
        return
    theirs = [entry.theirs for entry in matching.entries if entry.their_shape is not None]
    looked_up = [entry.theirs for entry in matching.having("missing")]
    hint = f"the file has {some(theirs, FIRST)}, and {network} needs {some(looked_up, FIRST)}"
    if mismatches := matching.having("mismatch"):
        hint = f"'{mismatches[0].name}' {mismatches[0].note}"
    raise WeightsError(f"{file}: no weight of the file fits {network}", hint=hint)


def _taken(matching: Matching) -> bool:
    """Whether the file gives any learned weight."""
    taken = (entry for entry in matching.entries if entry.status in ("loaded", "cast", "permuted"))
    return any(not (entry.name or "").endswith(COUNTER) for entry in taken)


def _near(missing: Sequence[str], unused: Sequence[str], holder: str) -> str:
    """The first of the missing weights that the holder seems to have under another name."""
    for name in missing[:SHOWN]:
        close = difflib.get_close_matches(name, unused, n=1, cutoff=0.8)
        if close:
            return f"{holder} has '{close[0]}' and no '{name}'"
    return ""


def _times(shape: Sequence[int]) -> str:
    return shapes_text([shape]) or "a single number"

"""What a checkpoint holds -> the tensors of one model by name.

A checkpoint is a state_dict, a whole module, or a mapping that has one of them under a usual key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from spdbuild.errors import WeightsError
from spdbuild.weights.report import choice_hint
from spdbuild.weights.stand_ins import StandIn, StoredTensor

#: The keys under which checkpoints keep the model; first the one that is better to evaluate.
AVERAGED = ("ema", "model_ema", "state_dict_ema")
MODEL_KEYS = (*AVERAGED, "model", "state_dict", "model_state", "model_state_dict", "weights")

MAX_DEPTH = 100
MAX_MODULES = MAX_TENSORS = 100_000
#: Keys of a checkpoint that messages look at and show.
SHOWN = 12


def find_tensors(saved: Any, key: str | None = None) -> tuple[dict[str, StoredTensor], str]:
    """The tensors in `saved`, in order, and the key under which they are ("", "ema", ...).

    key: where to look for them, and nowhere else; "a.b" is within what is under "a".
    """
    if key is not None:
        return _tensors_under(saved, key), key
    tensors = _tensors(saved)
    if tensors:
        return tensors, ""
    for usual in MODEL_KEYS:
        for path in (usual, *(f"{usual}.{inner}" for inner in MODEL_KEYS)):
            if tensors := _tensors(_under(saved, path)):
                return tensors, path
        if usual in AVERAGED:
            _refuse_unusual(saved, usual)
    looked = f"looked for a state_dict, a module, and under the keys {', '.join(MODEL_KEYS)}"
    others = _quoted(keys_of_weights(saved))
    hint = f"{looked}; there are some under {others}, which key can choose" if others else looked
    raise WeightsError(f"there are no weights in {_described(saved)}", hint=hint)


def _refuse_unusual(saved: Any, averaged: str) -> None:
    """Refuse to pass over averaged weights that are there, but not where they usually are."""
    keys = keys_of_weights(saved)
    unusual = [key for key in keys if key.startswith(f"{averaged}.")]
    if unusual:
        message = f"there are weights under {_quoted(keys)}, and '{unusual[0]:.40}' may be the averaged ones"
        raise WeightsError(message, hint=f"choose one: {choice_hint('key', keys[0])}")


def _tensors_under(saved: Any, key: str) -> dict[str, StoredTensor]:
    if tensors := _tensors(_under(saved, key)):
        return tensors
    others = _quoted(keys_of_weights(saved))
    hint = f"there are some under {others}" if others else "leave key out" if _tensors(saved) else ""
    raise WeightsError(f"there are no weights under '{key}' in {_described(saved)}", hint=hint)


def _under(saved: Any, key: str) -> Any:
    """What is under a key; "a.b" is what is under "b" within "a", unless there is a key with a dot. None if nothing."""
    items = _items(saved)
    if key in items:
        return items[key]
    heads = (key[:end] for end, sign in enumerate(key) if sign == ".")
    return next((_under(items[head], key[len(head) + 1 :]) for head in heads if head in items), None)


def keys_of_weights(saved: Any) -> tuple[str, ...]:
    """The first keys under which there are weights: "model", or "ema.model" if they are one key deeper."""
    found: list[str] = []
    for key, part in _named_items(saved):
        if _tensors(part):
            found.append(key)
        else:
            found += [f"{key}.{inner}" for inner, inside in _named_items(part) if _tensors(inside)]
    return tuple(found)


def _named_items(saved: Any) -> list[tuple[str, Any]]:
    return [(key, part) for key, part in _items(saved).items() if isinstance(key, str)][:SHOWN]


def _quoted(keys: Sequence[str]) -> str:
    return ", ".join(f"{key!r:.40}" for key in keys[:SHOWN])


def find_class_names(saved: Any, key: str) -> tuple[str, ...]:
    """The class names that a checkpoint keeps with the tensors found under `key`, or beside them; empty if it has none.

    They are a list or a mapping from numbers, called `names`; names that are only numbers do not count.
    """
    model = _under(saved, key) if key else saved
    for holder in (model.state if isinstance(model, StandIn) else None, _items(saved)):
        names = holder.get("names") if isinstance(holder, dict) else None
        if isinstance(names, dict):
            names = [names.get(number) for number in range(len(names))]
        if isinstance(names, list) and names and all(isinstance(name, str) and name.isprintable() for name in names):
            return () if all(name.isdecimal() for name in names) else tuple(names)
    return ()


def _tensors(saved: Any) -> dict[str, StoredTensor]:
    if isinstance(saved, StandIn) and isinstance(saved.state, dict) and "_modules" in saved.state:
        return _bounded(_walk(saved))
    items = _items(saved)
    if all(isinstance(name, str) and isinstance(tensor, StoredTensor) for name, tensor in items.items()):
        return _bounded(iter(items.items()))
    return {}


def _items(saved: Any) -> dict[Any, Any]:
    if isinstance(saved, StandIn):
        return saved.items
    return saved if isinstance(saved, dict) else {}


def _walk(root: StandIn) -> Iterator[tuple[str, StoredTensor]]:
    """The tensors of a module as torch lists them: its parameters, its buffers, and then those of its children."""
    waiting = [("", root, 0)]
    for _ in range(MAX_MODULES):
        if not waiting:
            return
        prefix, module, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise WeightsError(f"modules are nested more than {MAX_DEPTH} deep")
        state = module.state if isinstance(module.state, dict) else {}
        yield from _own_tensors(state, prefix)
        children = [
            (name, child) for name, child in _items(state.get("_modules")).items() if isinstance(child, StandIn)
        ]
        waiting += [(f"{prefix}{name}.", child, depth + 1) for name, child in reversed(children)]
    raise WeightsError(f"the file holds more than {MAX_MODULES:,} modules")


def _own_tensors(state: dict[Any, Any], prefix: str) -> Iterator[tuple[str, StoredTensor]]:
    hidden = _hidden(state)
    for kind in ("_parameters", "_buffers"):
        for name, tensor in _items(state.get(kind)).items():
            if isinstance(tensor, StoredTensor) and name not in hidden:
                yield f"{prefix}{name}", tensor


def _hidden(state: dict[Any, Any]) -> list[Any]:
    """The buffers that torch leaves out of a state_dict."""
    names = state.get("_non_persistent_buffers_set")
    if isinstance(names, StandIn):
        names = [name for part in names.arguments if isinstance(part, list) for name in part]
    return names if isinstance(names, list) else []


def _bounded(tensors: Iterator[tuple[str, StoredTensor]]) -> dict[str, StoredTensor]:
    found: dict[str, StoredTensor] = {}
    for name, tensor in tensors:
        if len(found) >= MAX_TENSORS:
            raise WeightsError(f"the file holds more than {MAX_TENSORS:,} tensors")
        found[name] = tensor
    return found


def _described(saved: Any) -> str:
    if isinstance(saved, dict) and saved:
        keys = ", ".join(f"{key!r:.40}" for key in list(saved)[:SHOWN])
        return f"a mapping with the keys {keys}" + (", ..." if len(saved) > SHOWN else "")
    if isinstance(saved, StoredTensor):
        return "a single tensor"
    return f"{saved!r:.80}" if isinstance(saved, StandIn) else f"an object of the type {type(saved).__name__}"

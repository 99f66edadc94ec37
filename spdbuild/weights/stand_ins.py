"""Stand-ins for the objects of a pickle: plain records on which nothing can be called.

A pickle names classes and functions and says how to call them. Here a name stays a name, an object of a class is a
record of what it would be made from, and a tensor is a place in a file. Only the functions in `CALLS` run, and they are
ours.
"""

from __future__ import annotations

import math
import reprlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from spdbuild.errors import WeightsError

#: Bytes of one element, by the name that torch gives the type.
ITEM_SIZES = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
    "complex64": 8,
    "complex128": 16,
}

STORAGE_DTYPES = {
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
    "torch.ComplexFloatStorage": "complex64",
    "torch.ComplexDoubleStorage": "complex128",
}

#: Names in checkpoints that only carry values: those of Python itself, whose other names are all refused, and functions
#: of numpy and torch.
_VALUES = "set frozenset list tuple dict slice range complex bytearray bytes object int float str bool"
_PATHS = "Path PosixPath WindowsPath PurePosixPath PureWindowsPath"
_ARRAYS = "_reconstruct scalar"
_HARMLESS_BY_MODULE = {
    "builtins": _VALUES,
    "__builtin__": _VALUES,
    "collections": "OrderedDict defaultdict Counter deque",
    "copyreg": "_reconstructor",
    "copy_reg": "_reconstructor",
    "_codecs": "encode",
    "argparse": "Namespace",
    "types": "SimpleNamespace",
    "functools": "partial",
    "pathlib": _PATHS,
    "pathlib._local": _PATHS,
    "datetime": "datetime date timedelta timezone",
    "numpy": "dtype ndarray",
    "numpy.core.multiarray": _ARRAYS,
    "numpy._core.multiarray": _ARRAYS,
    "torch": "device",
}
HARMLESS = frozenset(f"{module}.{name}" for module, names in _HARMLESS_BY_MODULE.items() for name in names.split())
_PYTHON = sys.stdlib_module_names | {"__builtin__", "__builtins__", "copy_reg", "cPickle", "commands"}

REFUSED_HINT = "nothing of it was run; ask for the weights as safetensors or as a plain state_dict"

_shorten = reprlib.Repr()
_shorten.maxstring = _shorten.maxother = 80
_shorten.maxlevel = 3


@dataclass(frozen=True)
class GlobalName:
    """A class or function that the pickle names; it is never looked up."""

    module: str
    attribute: str

    def __str__(self) -> str:
        return f"{self.module}.{self.attribute}"

    __repr__ = __str__

    @property
    def is_refused(self) -> bool:
        """Whether this is part of Python and does more than hold values."""
        return self.module.split(".")[0] in _PYTHON and str(self) not in HARMLESS

    @property
    def is_class(self) -> bool:
        """Whether calling it makes an object, going by the convention that names of classes are capitalized."""
        return self.attribute.rsplit(".", 1)[-1].lstrip("_")[:1].isupper()


@dataclass(eq=False, repr=False)
class StandIn:
    """An object of a class that is never imported: its class, arguments and state, and what was put into it."""

    kind: GlobalName
    arguments: tuple[Any, ...] = ()
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<{self.kind}>"


@dataclass(frozen=True, eq=False, repr=False)
class Storage:
    """A run of `count` numbers in the file; `start` counts those before it in the storage that it is a part of."""

    key: str
    dtype: str
    count: int
    start: int = 0

    def __repr__(self) -> str:
        return f"<storage {self.key}>"


@dataclass(frozen=True, eq=False, repr=False)
class StoredTensor:
    """A tensor as a place in a file: offset and strides count elements of `storage`."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def __repr__(self) -> str:
        return f"<tensor {list(self.shape)}>"

    @property
    def dtype(self) -> str:
        return self.storage.dtype

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * ITEM_SIZES[self.dtype]


def call(function: Any, arguments: Any) -> Any:
    """The stand-in for `function(*arguments)`; WeightsError names a call that is not known to be harmless."""
    if not isinstance(function, GlobalName) or not isinstance(arguments, tuple):
        raise WeightsError(f"the pickle wants to call {_shorten.repr(function)}", hint=REFUSED_HINT)
    known = CALLS.get(str(function))
    if known is not None:
        make, least, most = known
        if not least <= len(arguments) <= most:
            raise _refused_call(function, arguments)
        return make(*arguments)
    if function.is_refused or not (function.is_class or str(function) in HARMLESS):
        raise _refused_call(function, arguments)
    return StandIn(function, arguments)


def create(kind: Any, arguments: Any) -> Any:
    """The stand-in for a new object of the class `kind`; raises WeightsError as `call` does."""
    if isinstance(kind, GlobalName) and isinstance(arguments, tuple) and str(kind) not in CALLS and not kind.is_refused:
        return StandIn(kind, arguments)
    return call(kind, arguments)


def set_state(instance: Any, state: Any) -> None:
    """Record the state of a stand-in; tensors and mappings keep only their values."""
    if isinstance(instance, StandIn):
        instance.state = state
    elif not isinstance(instance, dict | StoredTensor):
        raise WeightsError(f"the pickle wants to set the state of {_shorten.repr(instance)}", hint=REFUSED_HINT)


def _refused_call(function: GlobalName, arguments: tuple[Any, ...]) -> WeightsError:
    shown = ", ".join(map(_shorten.repr, arguments[:4])) + (", ..." if len(arguments) > 4 else "")
    return WeightsError(f"the pickle wants to call {function}({shown})", hint=REFUSED_HINT)


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> StoredTensor:
    whole = isinstance(shape, tuple) and isinstance(stride, tuple) and len(shape) == len(stride) <= 32
    if not isinstance(storage, Storage) or not whole or not all(map(_is_count, (offset, *shape, *stride))):
        raise WeightsError(
            f"the pickle holds a damaged tensor: storage {_shorten.repr(storage)}, offset {_shorten.repr(offset)}, "
            f"shape {_shorten.repr(shape)}, stride {_shorten.repr(stride)}"
        )
    number = math.prod(shape)
    end = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True)) + 1 if number else 0
    # torch multiplies the sizes of an empty tensor too, and must not overflow.
    if end > storage.count or number > storage.count or math.prod(max(size, 1) for size in shape) >= 2**63:
        raise WeightsError(
            f"a tensor of shape {list(shape)}, stride {list(stride)} at offset {offset} reaches beyond its storage "
            f"'{storage.key}' of {storage.count:,} elements"
        )
    return StoredTensor(storage, offset, shape, stride)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _rebuild_parameter(tensor: Any, *_: Any) -> StoredTensor:
    if not isinstance(tensor, StoredTensor):
        raise WeightsError(f"the pickle holds a parameter that is no tensor but {_shorten.repr(tensor)}")
    return tensor


def _rebuild_from_type(function: Any, _kind: Any, arguments: Any, _state: Any) -> Any:
    return call(function, arguments)


def _ordered_dict(pairs: Any = ()) -> dict[Any, Any]:
    if not isinstance(pairs, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
        raise WeightsError(f"the pickle makes a mapping from {_shorten.repr(pairs)}")
    return {checked_key(key): value for key, value in pairs}


def _reconstructor(kind: Any, _base: Any, _state: Any) -> Any:
    return create(kind, ())


def checked_key(key: Any) -> Any:
    """`key` if it is accepted as one of a mapping; Python's own hash would follow tuples to any depth."""
    if not isinstance(key, str | int | float | bytes | GlobalName | None | StandIn | StoredTensor):
        raise WeightsError(f"the pickle has a mapping with the key {_shorten.repr(key)}")
    return key


#: What is called in place of a function that a pickle names, with the fewest and most arguments that it takes.
CALLS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "torch._utils._rebuild_tensor": (_rebuild_tensor, 4, 4),
    "torch._utils._rebuild_tensor_v2": (_rebuild_tensor, 4, 7),
    "torch._utils._rebuild_parameter": (_rebuild_parameter, 3, 3),
    "torch._utils._rebuild_parameter_with_state": (_rebuild_parameter, 4, 4),
    "torch._tensor._rebuild_from_type_v2": (_rebuild_from_type, 4, 4),
    "collections.OrderedDict": (_ordered_dict, 0, 1),
    "copyreg._reconstructor": (_reconstructor, 3, 3),
    "copy_reg._reconstructor": (_reconstructor, 3, 3),
}

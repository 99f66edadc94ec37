"""A pickle -> stand-ins: a machine that knows the opcodes and has no way to import or to call anything.

Python's own Unpickler with another `find_class` still calls what it is given, and one opcode can make it reserve a
table of 2**32 entries. This one keeps a stack of plain data; what a call means is looked up in `stand_ins`.
"""

from __future__ import annotations

import pickletools
import struct
import warnings
from collections.abc import Callable, Iterator
from typing import IO, Any

from spdbuild.errors import WeightsError
from spdbuild.weights.stand_ins import REFUSED_HINT, GlobalName, StandIn, call, checked_key, create, set_state

#: Far above what a real checkpoint has (the pickle of a YOLOv5 has 40,000 opcodes).
MAX_OPCODES = 5_000_000
MAX_INTEGER_BITS = 4096

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
_TEXTS = {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_BYTES = {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_ARGUMENT_IS_VALUE = _NUMBERS | _TEXTS | _BYTES
_GATHERED: dict[str, Callable[[list[Any]], Any]] = {"TUPLE": tuple, "LIST": list, "FROZENSET": list}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": list}


def read_pickle(stream: IO[bytes], load_persistent: Callable[[Any], Any]) -> Any:
    """What the next pickle of `stream` describes, as plain data and stand-ins.

    stream: one that allocates no memory for a read beyond its end: a BytesIO or an mmap.
    load_persistent: maps the pickle's identifier of something outside of it to a stand-in.
    Raises WeightsError for a pickle that is damaged or asks for more than to be read.
    """
    with warnings.catch_warnings():
        # Python warns about invalid escapes in texts of the first protocol.
        warnings.simplefilter("ignore", DeprecationWarning)
        return _Machine(load_persistent).run(stream)


class _Machine:
    """The stack, the memo and one method per opcode that needs one."""

    def __init__(self, load_persistent: Callable[[Any], Any]) -> None:
        self.load_persistent = load_persistent
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.refused: list[GlobalName] = []

    def run(self, stream: IO[bytes]) -> Any:
        for name, argument, position in _opcodes(stream):
            try:
                self.step(name, argument)
            except _Damaged as error:
                raise WeightsError(f"the pickle is damaged at byte {position:,}: {error}") from None
        if self.refused:
            raise WeightsError(f"the pickle refers to {self.refused[0]}", hint=REFUSED_HINT)
        if len(self.stack) != 1 or self.marks:
            raise WeightsError(f"the pickle is damaged: it ends with {len(self.stack)} values instead of one")
        return self.stack[0]

    def step(self, name: str, argument: Any) -> None:
        if name in _ARGUMENT_IS_VALUE:
            self.push_argument(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            self.stack.append(tuple(self.pop_many(_TUPLES[name])))
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name in _GATHERED:
            gathered = self.pop_mark()
            self.stack.append(_GATHERED[name](gathered))
        elif (method := _METHODS.get(name)) is not None:
            method(self, argument)
        else:
            raise _Damaged(f"the opcode {name} has no place in a checkpoint")

    def push_argument(self, value: Any) -> None:
        if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
            raise _Damaged(f"an integer of {value.bit_length():,} bits")
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack:
            raise _Damaged("the stack is empty")
        return self.stack.pop()

    def pop_many(self, number: int) -> list[Any]:
        return [self.pop() for _ in range(number)][::-1]

    def top(self) -> Any:
        if not self.stack:
            raise _Damaged("the stack is empty")
        return self.stack[-1]

    def mark(self, _: Any) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def pop_mark(self, _: Any = None) -> list[Any]:
        if not self.marks:
            raise _Damaged("there is no mark")
        gathered, self.stack = self.stack, self.marks.pop()
        return gathered

    def pop_top(self, _: Any) -> None:
        # If this part of the stack is empty, the mark itself is popped.
        self.stack.pop() if self.stack else self.pop_mark()

    def duplicate(self, _: Any) -> None:
        self.stack.append(self.top())

    def put(self, index: Any) -> None:
        self.memo[index] = self.top()

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.top()

    def get(self, index: Any) -> None:
        if index not in self.memo:
            raise _Damaged(f"nothing was kept under {index}")
        self.stack.append(self.memo[index])

    def extend(self, elements: list[Any]) -> None:
        target = self.top()
        if isinstance(target, StandIn):
            target = target.elements
        if not isinstance(target, list):
            raise _Damaged("elements are put into what is no list")
        target.extend(elements)

    def update(self, flat: list[Any]) -> None:
        target = self.top()
        if isinstance(target, StandIn):
            target = target.items
        if not isinstance(target, dict) or len(flat) % 2:
            raise _Damaged("items are put into what is no mapping")
        target.update(zip(map(checked_key, flat[::2]), flat[1::2], strict=True))

    def append(self, _: Any) -> None:
        self.extend(self.pop_many(1))

    def append_many(self, _: Any) -> None:
        self.extend(self.pop_mark())

    def set_item(self, _: Any) -> None:
        self.update(self.pop_many(2))

    def set_items(self, _: Any) -> None:
        self.update(self.pop_mark())

    def make_dict(self, _: Any) -> None:
        flat = self.pop_mark()
        self.stack.append({})
        self.update(flat)

    def push_global(self, names: str) -> None:
        self.push_name(*names.split(" ", 1))

    def push_global_from_stack(self, _: Any) -> None:
        module, attribute = self.pop_many(2)
        if not isinstance(module, str) or not isinstance(attribute, str):
            raise _Damaged("a name that is no text")
        self.push_name(module, attribute)

    def push_name(self, module: str, attribute: str) -> None:
        name = GlobalName(module, attribute)
        if name.is_refused:
            # Refused at the call, so that the message shows its arguments, or else at the end.
            self.refused.append(name)
        self.stack.append(name)

    def reduce(self, _: Any) -> None:
        function, arguments = self.pop_many(2)
        self.stack.append(call(function, arguments))

    def new_object(self, _: Any) -> None:
        kind, arguments = self.pop_many(2)
        self.stack.append(create(kind, arguments))

    def new_object_with_keywords(self, _: Any) -> None:
        kind, arguments, keywords = self.pop_many(3)
        self.stack.append(create(kind, arguments))
        if isinstance(keywords, dict) and isinstance(self.top(), StandIn):
            self.top().items.update(keywords)

    def instance(self, names: str) -> None:
        arguments = tuple(self.pop_mark())
        self.push_global(names)
        self.stack.append(call(self.pop(), arguments))

    def object(self, _: Any) -> None:
        kind, *arguments = self.pop_mark() or [None]
        self.stack.append(call(kind, tuple(arguments)))

    def build(self, _: Any) -> None:
        state = self.pop()
        set_state(self.top(), state)

    def persistent(self, identifier: Any) -> None:
        self.stack.append(self.load_persistent(identifier))

    def persistent_from_stack(self, _: Any) -> None:
        self.stack.append(self.load_persistent(self.pop()))

    def nothing(self, _: Any) -> None:
        """Opcodes that only frame the pickle."""


_METHODS: dict[str, Callable[[_Machine, Any], Any]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop_top,
    "POP_MARK": _Machine.pop_mark,
    "DUP": _Machine.duplicate,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    "MEMOIZE": _Machine.memoize,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "APPEND": _Machine.append,
    **dict.fromkeys(("APPENDS", "ADDITEMS"), _Machine.append_many),
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "DICT": _Machine.make_dict,
    "GLOBAL": _Machine.push_global,
    "STACK_GLOBAL": _Machine.push_global_from_stack,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.new_object,
    "NEWOBJ_EX": _Machine.new_object_with_keywords,
    "INST": _Machine.instance,
    "OBJ": _Machine.object,
    "BUILD": _Machine.build,
    "PERSID": _Machine.persistent,
    "BINPERSID": _Machine.persistent_from_stack,
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), _Machine.nothing),
}


class _Damaged(Exception):
    """What is wrong with the opcode being read."""


def _opcodes(stream: IO[bytes]) -> Iterator[tuple[str, Any, int]]:
    """Name, argument and position of each opcode up to the end of the pickle."""
    opcodes = pickletools.genops(stream)
    for number in range(MAX_OPCODES + 1):
        try:
            opcode, argument, position = next(opcodes)
        except StopIteration:
            return
        except (ValueError, struct.error, OverflowError) as error:
            raise WeightsError(f"the pickle is damaged: {error}") from None
        if number == MAX_OPCODES:
            raise WeightsError(f"the pickle has more than {MAX_OPCODES:,} opcodes")
        yield opcode.name, argument, position or 0

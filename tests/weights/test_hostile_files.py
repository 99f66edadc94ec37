"""Checkpoints that would run code, or take the memory of the machine, and what is said about them."""

from __future__ import annotations

import builtins
import importlib
import os
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spdbuild.errors import WeightsError
from spdbuild.weights import read_weights

from .torch_files import state_dict, storage, tensor, text, write_zip

RUN_HINT = "nothing of it was run; ask for the weights as safetensors or as a plain state_dict"


class Call:
    """What pickles as `function(*arguments)`."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call


def refusal(path: Path) -> tuple[str, str]:
    """Message and hint, the message without the name of the file."""
    with pytest.raises(WeightsError) as caught:
        read_weights(path)
    problem = caught.value.problems[0]
    assert problem.message.startswith(f"{path}: ")
    return problem.message.removeprefix(f"{path}: "), problem.hint


CODE = {
    "os.system": (Call(os.system, "touch pwned"), "posix.system('touch pwned')"),
    "eval": (Call(eval, "open('pwned', 'w')"), "__builtin__.eval(\"open('pwned', 'w')\")"),
    "exec": (Call(exec, "import os"), "__builtin__.exec('import os')"),
    # It is io's up to Python 3.11, and _io's since.
    "open": (Call(open, "pwned", "w"), f"{open.__module__}.open('pwned', 'w')"),
    "a module": (Call(importlib.import_module, "antigravity"), "importlib.import_module('antigravity')"),
    "import": (Call(builtins.__import__, "antigravity"), "__builtin__.__import__('antigravity')"),
    "nested in a state": ({"model": [Call(os.system, "touch pwned")]}, "posix.system('touch pwned')"),
    "many arguments": (Call(os.execl, *"abcdef"), "os.execl('a', 'b', 'c', 'd', ...)"),
}


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("case", CODE.values(), ids=CODE)
def test_a_call_is_refused_by_name_with_its_arguments_and_not_made(
    case: tuple[object, str], protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    saved, call = case
    path = write_zip(tmp_path / "x.pt", pickle.dumps(saved, protocol=protocol))
    if protocol == 4:
        call = call.replace("__builtin__", "builtins")
    assert refusal(path) == (f"the pickle wants to call {call}", RUN_HINT)
    assert [file.name for file in tmp_path.iterdir()] == ["x.pt"]


HAND_WRITTEN = {
    "getattr of a module": (
        b"c__builtin__\ngetattr\n(c__builtin__\n__import__\n(X\x02\x00\x00\x00ostRX\x06\x00\x00\x00systemtR(tR.",
        "the pickle wants to call __builtin__.__import__('os')",
    ),
    "a dotted name": (
        b"\x80\x04" + text("torch") + text("serialization.os.system") + b"\x93(" + text("id") + b"tR.",
        "the pickle wants to call torch.serialization.os.system('id')",
    ),
    "the opcode inst": (b"(S'id'\nios\nsystem\n.", "the pickle wants to call os.system('id')"),
    "the opcode obj": (b"(cos\nsystem\nS'id'\no.", "the pickle wants to call os.system('id')"),
    "new object": (b"\x80\x02csubprocess\nPopen\nS'id'\n\x85\x81.", "the pickle wants to call subprocess.Popen('id')"),
    "new object with keywords": (
        b"\x80\x04csubprocess\nPopen\nS'id'\n\x85}\x92.",
        "the pickle wants to call subprocess.Popen('id')",
    ),
    "a refused name that is not called": (b"}S'x'\ncos\nsystem\ns.", "the pickle refers to os.system"),
    "a refused name as the type of a tensor": (
        b"ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\nN(S'id'\ntNtR.",
        "the pickle wants to call os.system('id')",
    ),
    "state of a class": (
        b"cmodels\nModel\n}S'__setstate__'\ncos\nsystem\nsb.",
        "the pickle wants to set the state of models.Model",
    ),
    "state of a list": (b"]}b.", "the pickle wants to set the state of []"),
    "a call of an object": (b"cmodels\nModel\n(tR(tR.", "the pickle wants to call <models.Model>"),
    "a call of a text": (b"S'os.system'\n(tR.", "the pickle wants to call 'os.system'"),
    "arguments that are no tuple": (b"cmodels\nModel\n]R.", "the pickle wants to call models.Model"),
    "a function of another package": (
        b"ctorch.hub\nload\n(S'a/b'\ntR.",
        "the pickle wants to call torch.hub.load('a/b')",
    ),
    "a part of a package of Python": (
        b"cmultiprocessing.pool\nPool\n(tR.",
        "the pickle wants to call multiprocessing.pool.Pool()",
    ),
    "a part of a package of Python that is not called": (
        b"}S'x'\ncxml.dom.minidom\nparse\ns.",
        "the pickle refers to xml.dom.minidom.parse",
    ),
    "a nested torch.load": (
        b"ctorch.storage\n_load_from_bytes\n(S'x'\ntR.",
        "the pickle wants to call torch.storage._load_from_bytes('x')",
    ),
    "a known function with other arguments": (
        b"ccollections\nOrderedDict\n(]]tR.",
        "the pickle wants to call collections.OrderedDict([], [])",
    ),
}


@pytest.mark.parametrize(("pickled", "message"), HAND_WRITTEN.values(), ids=HAND_WRITTEN)
def test_hand_written_opcodes_call_nothing(pickled: bytes, message: str, tmp_path: Path) -> None:
    assert refusal(write_zip(tmp_path / "x.pt", pickled)) == (message, RUN_HINT)


def test_a_class_whose_module_does_not_exist_is_not_imported(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.pt", b"\x80\x02cantigravity_of_somebody\nModel\n)\x81}S'a'\nI1\nsb.")
    assert refusal(path)[0] == "there are no weights in <antigravity_of_somebody.Model>"
    assert "antigravity_of_somebody" not in sys.modules


DAMAGED = {
    "an opcode that does not exist": (b"\xff.", "the pickle is damaged: at position 0, opcode b'\\xff' unknown"),
    "no end": (b"}", "the pickle is damaged: pickle exhausted before seeing STOP"),
    "nothing": (b"", "the pickle is damaged: pickle exhausted before seeing STOP"),
    "an empty stack": (b"\x85.", "the pickle is damaged at byte 0: the stack is empty"),
    "no mark": (b"t.", "the pickle is damaged at byte 0: there is no mark"),
    "a mark that stays": (b"(}.", "the pickle is damaged: it ends with 1 values instead of one"),
    "two values": (b"}}.", "the pickle is damaged: it ends with 2 values instead of one"),
    "a memo that was never filled": (b"h\x07.", "the pickle is damaged at byte 0: nothing was kept under 7"),
    "an item of a list": (b"]NNs.", "the pickle is damaged at byte 3: items are put into what is no mapping"),
    "an element of a mapping": (b"}Na.", "the pickle is damaged at byte 2: elements are put into what is no list"),
    "an odd number of items": (b"}(Nu.", "the pickle is damaged at byte 3: items are put into what is no mapping"),
    "a name that is no text": (b"NN\x93.", "the pickle is damaged at byte 2: a name that is no text"),
    "an extension": (b"\x82\x01.", "the pickle is damaged at byte 0: the opcode EXT1 has no place in a checkpoint"),
    "a list as a key": (b"}]Ns.", "the pickle has a mapping with the key []"),
    "an integer of a megabyte": (
        b"\x8b" + struct.pack("<i", 10**6) + b"\x7f" * 10**6 + b".",
        "the pickle is damaged at byte 0: an integer of 7,999,999 bits",
    ),
    "a text longer than the file": (
        b"\x8d" + struct.pack("<Q", 2**40) + b"x.",
        "the pickle is damaged: expected 1099511627776 bytes in a unicodestring8, but only 2 remain",
    ),
    "a place in the memo of 4 GB": (b"Nr\xff\xff\xff\xff.", "there are no weights in an object of the type NoneType"),
}


@pytest.mark.parametrize(("pickled", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_pickle_is_refused(pickled: bytes, message: str, tmp_path: Path) -> None:
    assert refusal(write_zip(tmp_path / "x.pt", pickled))[0] == message


STORAGES = {
    "a tensor of a terabyte": (
        state_dict(tensor(count=2**38, shape=(2**38,))),
        "the storage '0' should be 274,877,906,944 x float32, 1,099,511,627,776 bytes, but the file holds 16",
    ),
    "a tensor larger than its storage": (
        state_dict(tensor(shape=(5,))),
        "a tensor of shape [5], stride [1] at offset 0 reaches beyond its storage '0' of 4 elements",
    ),
    "an offset outside of the storage": (
        state_dict(tensor(offset=1)),
        "a tensor of shape [4], stride [1] at offset 1 reaches beyond its storage '0' of 4 elements",
    ),
    "strides outside of the storage": (
        state_dict(tensor(shape=(2, 2), stride=(4, 1))),
        "a tensor of shape [2, 2], stride [4, 1] at offset 0 reaches beyond its storage '0' of 4 elements",
    ),
    "a terabyte by a stride of 0": (
        state_dict(tensor(shape=(2**38,), stride=(0,))),
        "a tensor of shape [274877906944], stride [0] at offset 0 reaches beyond its storage '0' of 4 elements",
    ),
    "an empty tensor of sizes that overflow": (
        state_dict(tensor(shape=(0, 2**62, 4), stride=(1, 1, 1))),
        "a tensor of shape [0, 4611686018427387904, 4], stride [1, 1, 1] at offset 0 reaches beyond its storage '0' of "
        "4 elements",
    ),
    "a negative offset": (
        state_dict(tensor(offset=-1)),
        "the pickle holds a damaged tensor: storage <storage 0>, offset -1, shape (4,), stride (1,)",
    ),
    "a negative size": (
        state_dict(tensor(shape=(-4,))),
        "the pickle holds a damaged tensor: storage <storage 0>, offset 0, shape (-4,), stride (1,)",
    ),
    "a storage that is not there": (
        state_dict(storage("7")),
        "the storage '7' should be 4 x float32, 16 bytes, but the file has none of that name",
    ),
    "a storage outside of the archive": (
        state_dict(storage("../../../etc/passwd")),
        "the storage '../../../etc/passwd' should be 4 x float32, 16 bytes, but the file has none of that name",
    ),
    "a storage of two sizes": (
        state_dict(b"(" + storage() + storage(kind=b"ctorch\nLongStorage\n") + b"t"),
        "the pickle gives the storage '0' two sizes",
    ),
    "a storage of an unknown kind": (
        state_dict(storage(kind=b"ctorch\nQInt8Storage\n")),
        "the storage '0' is of the kind torch.QInt8Storage, which is not read here",
    ),
    "a negative count": (state_dict(storage(count=-4)), "the storage '0' has -4 elements"),
    "an identifier that is no storage": (
        state_dict(b"S'/etc/passwd'\nQ"),
        "the pickle refers to '/etc/passwd', which is no storage of torch",
    ),
    "an identifier as a line": (
        state_dict(b"P/etc/passwd\n"),
        "the pickle refers to '/etc/passwd', which is no storage of torch",
    ),
    "a parameter that is no tensor": (
        state_dict(b"ctorch._utils\n_rebuild_parameter\n(NNNtR"),
        "the pickle holds a parameter that is no tensor but None",
    ),
    "escape codes for the terminal": (
        state_dict(b"c\x1b[31mmodels\nload\n(tR"),
        "the pickle wants to call ?[31mmodels.load()",
    ),
}


@pytest.mark.parametrize(("pickled", "message"), STORAGES.values(), ids=STORAGES)
def test_a_tensor_lies_within_its_storage_and_a_storage_within_its_file(
    pickled: bytes, message: str, tmp_path: Path
) -> None:
    assert refusal(write_zip(tmp_path / "x.pt", pickled))[0] == message


def test_a_storage_cannot_be_spread_over_many_tensors(tmp_path: Path) -> None:
    big = tensor(count=2**18, shape=(2**18,)) + b"q\x01"
    shared = b"".join(text(f"w{i}") + b"h\x01s" for i in range(100))
    path = write_zip(tmp_path / "x.pt", b"}" + text("w") + big + b"s" + shared + b".", {"0": bytes(2**20)})
    assert refusal(path)[0] == f"the tensors claim 105,906,176 bytes, but the file has {path.stat().st_size:,}"


def test_modules_that_contain_each_other_come_to_an_end(tmp_path: Path) -> None:
    module = b"cmodels\nModel\n)\x81q\x01}" + text("_modules") + b"}" + text("child") + b"h\x01ssb."
    path = write_zip(tmp_path / "x.pt", module)
    assert refusal(path)[0] == "modules are nested more than 100 deep"


def test_a_tree_of_shared_modules_comes_to_an_end(tmp_path: Path) -> None:
    def module(children: bytes) -> bytes:
        return b"cmodels\nModel\n)\x81}" + text("_modules") + b"}" + children + b"sb"

    tree = module(b"") + b"q\x00"
    for level in range(1, 60):
        # Keep the last module, and put it into the next one twice.
        twice = b"".join(text(name) + b"h" + bytes([level - 1]) + b"s" for name in "ab")
        tree += b"0" + module(twice) + b"q" + bytes([level])
    path = write_zip(tmp_path / "x.pt", tree + b".")
    assert refusal(path)[0] == "the file holds more than 100,000 modules"


def test_a_deep_nest_of_tuples_does_not_overflow_the_stack(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.pt", b"}N" + b"\x85" * 300_000 + b"Ns.")
    assert refusal(path)[0].startswith("the pickle has a mapping with the key ((((")


def test_the_number_of_opcodes_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spdbuild.weights.pickle_reader.MAX_OPCODES", 100)
    path = write_zip(tmp_path / "x.pt", b"N0" * 100 + b".")
    assert refusal(path)[0] == "the pickle has more than 100 opcodes"


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.pt", state_dict(tensor()))
    path.write_bytes(path.read_bytes()[:-40])
    assert refusal(path) == ("the zip archive is damaged: File is not a zip file", "fetch the file again")


def test_a_changed_byte_of_a_storage_is_noticed(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.pt", state_dict(tensor()), {"0": b"0123456789abcdef"})
    path.write_bytes(path.read_bytes().replace(b"0123456789abcdef", b"0123456789abcdeX"))
    assert refusal(path)[0] == "the zip archive is damaged: Bad CRC-32 for file 'archive/data/0'"


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", state_dict(tensor()))
        archive.writestr("archive/data/0", bytes(10**6))
    message, _ = refusal(path)
    assert message.endswith(", which torch.save never does")


def test_a_member_that_claims_more_than_the_file_has_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.pt", state_dict(tensor(count=2**28, shape=(2**28,))))
    raw = bytearray(path.read_bytes())
    entry = raw.rindex(b"archive/data/0") - 46
    assert raw[entry : entry + 4] == b"PK\x01\x02"
    raw[entry + 20 : entry + 28] = struct.pack("<II", 2**30, 2**30)
    path.write_bytes(raw)
    assert refusal(path)[0].startswith("the members claim 1,073,741,")


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.pt", state_dict(tensor()))
    raw = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + flags] |= 1
    path.write_bytes(raw)
    assert refusal(path)[0] == "'archive/data.pkl' is encrypted, which torch.save never does"


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", state_dict(tensor()))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("archive/data.pkl", b"N.")
    assert refusal(path)[0] == "the archive holds two files of one name"


def test_a_program_of_torchscript_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.pt", b"N.", constants__pkl=b"N.")
    assert refusal(path)[0] == "this is a TorchScript program, not a file of weights"


def test_numbers_of_a_big_endian_machine_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.pt", state_dict(tensor()), byteorder=b"big")
    assert refusal(path)[0] == "the numbers were written on a big-endian machine"


def test_the_hostile_parts_are_read_where_they_are_harmless(tmp_path: Path) -> None:
    """The same opcodes with nothing wrong in them give the tensor: the refusals above are about what they say."""
    path = write_zip(
        tmp_path / "x.pt", state_dict(tensor(shape=(2, 2), stride=(1, 2))), {"0": struct.pack("<4f", 1, 2, 3, 4)}
    )
    assert read_weights(path)["weight"].tolist() == [[1, 3], [2, 4]]


def test_an_escape_that_is_none_does_not_warn(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.pt", b"}S'\\e'\nNs.")
    assert refusal(path)[0] == r"there are no weights in a mapping with the keys '\\e'"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=["stored", "compressed"])
def test_an_archive_of_numpy_is_called_by_its_name(tmp_path: Path, save: Callable[..., None]) -> None:
    save(tmp_path / "x.npz", n_params=np.zeros(100))
    assert refusal(tmp_path / "x.npz") == (
        "this is numpy's archive of arrays, not a file of torch.save",
        "write the arrays with safetensors.numpy.save_file, and give that file",
    )

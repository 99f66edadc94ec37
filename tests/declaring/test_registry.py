"""What can be registered, and under which names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from spdbuild.declaring.registry import Registry
from spdbuild.errors import InputError
from spdbuild.ops import OPS

#: A class of somebody else's with the name of a built-in one, before anything of the package has been looked up.
TAKEN = """
from dataclasses import dataclass
from spdbuild.errors import InputError
from spdbuild.ops.op import OPS, Op

try:
    @OPS.register
    @dataclass(frozen=True)
    class Relu(Op):
        pass
except InputError as error:
    print(error.problems[0].message)
print("conv2d" in OPS, OPS["relu"].__module__)
"""


def test_a_name_that_is_taken_is_refused_and_nothing_else_is_lost() -> None:
    done = subprocess.run([sys.executable, "-c", TAKEN], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "two ops are called 'relu': spdbuild.ops.activation and __main__",
        "True spdbuild.ops.activation",
    ]


def test_a_class_that_is_no_dataclass_is_refused() -> None:
    class Undeclared:
        pass

    with pytest.raises(InputError, match=r"the op 'undeclared' of .*test_registry is no dataclass"):
        OPS.register(Undeclared)  # type: ignore[arg-type]
    assert "undeclared" not in OPS


OPS_OF_A_TEST: Registry[Any] = Registry("op", "spdbuild.ops", "somebody")
#: The module of an entry point of somebody else's package that loads, and that of one that does not.
LOADS = """
from dataclasses import dataclass
from test_registry_registries import OPS_OF_A_TEST

@OPS_OF_A_TEST.register
@dataclass(frozen=True)
class Second:
    pass
"""
BROKEN = "raise RuntimeError(f'{__name__} is broken')\n"


def test_what_does_not_load_is_told_whenever_it_may_be_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    registries = ModuleType("test_registry_registries")
    registries.OPS_OF_A_TEST = OPS_OF_A_TEST
    monkeypatch.setitem(sys.modules, registries.__name__, registries)
    information = tmp_path / "some_package-1.2.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: some-package\nVersion: 1.2\n")
    modules = {"first": BROKEN, "second": LOADS, "third": BROKEN}
    for name, text in modules.items():
        (tmp_path / f"test_registry_{name}.py").write_text(text)
    points = "".join(f"{name} = test_registry_{name}\n" for name in modules)
    (information / "entry_points.txt").write_text(f"[somebody]\n{points}")

    where = "the entry point '{0}' of somebody in the package some-package 1.2"
    message = where + " does not load: test_registry_{0} is broken"
    for look_up in (lambda: "second_thing" in OPS_OF_A_TEST, lambda: OPS_OF_A_TEST["first"], OPS_OF_A_TEST.items):
        with pytest.raises(InputError) as caught:
            look_up()
        told = [(problem.message, problem.hint) for problem in caught.value.problems]
        hint = "upgrade or uninstall some-package"
        assert told == [(message.format(name), hint) for name in ("first", "third")]
    assert "second" in OPS_OF_A_TEST


#: The first look-ups of a process, by several threads.
THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import spdbuild.errors
from spdbuild.ops.op import OPS

sys.setswitchinterval(1e-6)
together = Barrier(8)

def look_up(number):
    together.wait()
    return OPS["conv2d" if number % 2 else "upsample"].name

with ThreadPoolExecutor(8) as pool:
    print(*sorted(set(pool.map(look_up, range(8)))))
"""


def test_threads_wait_for_the_discovery_that_one_of_them_began() -> None:
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("conv2d upsample\n", "")

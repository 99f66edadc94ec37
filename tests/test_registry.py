"""What can be registered, and under which names."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, make_dataclass
from typing import Any

import pytest

from spdbuild.errors import InputError
from spdbuild.ops import OPS
from spdbuild.registry import Registry

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


@dataclass
class Point:
    """An entry point of somebody else's package."""

    name: str
    loads: bool

    def load(self) -> None:
        if not self.loads:
            raise RuntimeError(f"{self.name} is broken")
        OPS_OF_A_TEST.register(make_dataclass(self.name, [], frozen=True, namespace={"__module__": __name__}))


OPS_OF_A_TEST: Registry[Any] = Registry("op", "spdbuild.ops", "somebody")


def test_what_does_not_load_is_told_whenever_it_may_be_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [Point("first", False), Point("second", True), Point("third", False)]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    message = "the entry point '{0}' of somebody does not load: {0} is broken"
    for look_up in (lambda: "second_thing" in OPS_OF_A_TEST, lambda: OPS_OF_A_TEST["first"], OPS_OF_A_TEST.items):
        with pytest.raises(InputError) as caught:
            look_up()
        assert [p.message for p in caught.value.problems] == [message.format("first"), message.format("third")]
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

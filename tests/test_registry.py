"""What can be registered, and under which names."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
    class Wobble:
        pass

    with pytest.raises(InputError, match=r"the op 'wobble' of .*test_registry is no dataclass"):
        OPS.register(Wobble)  # type: ignore[arg-type]
    assert "wobble" not in OPS

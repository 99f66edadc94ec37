"""Numbers that the help of the command line shows, too, without importing torch."""

from typing import Literal

Precision = Literal["fp32", "fp16"]

#: Greatest relative difference that counts as the same: a few hundred roundings of float32.
TOLERANCE = 1e-4
#: By precision: float16 rounds 2^13 times more coarsely, and layers add to the error.
TOLERANCES: dict[Precision, float] = {"fp32": TOLERANCE, "fp16": 1e-2}
#: ONNX opset versions between which torch and onnxscript translate; outside of these they only try.
OPSETS = range(18, 26)

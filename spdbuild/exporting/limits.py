"""Numbers that the help of the command line says, too, where torch is not imported."""

#: Greatest relative difference that counts as the same: a few hundred roundings of float32.
TOLERANCE = 1e-4
#: Versions of ONNX's ops between which torch and onnxscript translate; outside they only try.
OPSETS = range(18, 26)

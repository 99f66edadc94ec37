"""Numbers that the help of the command line shows, too, without importing torch."""

#: Greatest relative difference that counts as the same: a few hundred roundings of float32.
TOLERANCE = 1e-4
#: ONNX opset versions between which torch and onnxscript translate; outside of these they only try.
OPSETS = range(18, 26)

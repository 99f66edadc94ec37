"""Read, rename, match and write weights. Importing this package does not import torch."""

from spdbuild.weights.loading import load_into, match_file, match_state
from spdbuild.weights.matching import describe_module, match, match_any, misfits, require_fit, require_some
from spdbuild.weights.opening import open_weights, read_weights
from spdbuild.weights.orders import find_reorderings
from spdbuild.weights.rename import compile_rules, rename
from spdbuild.weights.restoring import restore
from spdbuild.weights.safetensors_file import file_sha256, save_weights
from spdbuild.weights.stored import StoredWeights

__all__ = [
    "StoredWeights",
    "compile_rules",
    "describe_module",
    "file_sha256",
    "find_reorderings",
    "load_into",
    "match",
    "match_any",
    "match_file",
    "match_state",
    "misfits",
    "open_weights",
    "read_weights",
    "rename",
    "require_fit",
    "require_some",
    "restore",
    "save_weights",
]

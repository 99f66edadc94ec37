"""Open and read weights files of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spdbuild.errors import WeightsError
from spdbuild.weights import safetensors_file, shards, torch_file
from spdbuild.weights.contents import WeightsFile
from spdbuild.weights.torch_legacy import START as LEGACY_START
from spdbuild.weights.torch_legacy import TorchLegacy
from spdbuild.weights.torch_zip import TorchZip

if TYPE_CHECKING:
    from torch import Tensor


def open_weights(path: Path | str, key: str | None = None) -> WeightsFile:
    """The table of contents of a weights file; torch is not imported and nothing in the file is executed.

    key: the one of a checkpoint under which the weights are ("model", or "a.b" for b within a); by default the first of
        MODEL_KEYS that has any.
    The kind of file is recognized by its first bytes, except for an index of several safetensors files, which is
    recognized by its name. Raises WeightsError.
    """
    path = Path(path)
    start = _first_bytes(path)
    if start.startswith(b"PK\x03\x04"):
        return torch_file.open_file(TorchZip(path), "torch zip", key)
    if start.startswith(LEGACY_START):
        return torch_file.open_file(TorchLegacy(path), "torch legacy", key)
    if key is not None:
        raise WeightsError(f"{path}: this is no checkpoint of torch, so it has no key '{key}'", hint="leave key out")
    if path.name.endswith(shards.SUFFIX):
        return shards.open_index(path)
    if start[8:9] == b"{":
        return safetensors_file.open_file(path)
    raise WeightsError(f"{path}: this is no file of weights", hint=_guess(start))


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a checkpoint of torch (a state_dict or a whole module), by name.

    Nothing in the file is executed: a pickle that would call a function is refused, with the call in the message.
    """
    return open_weights(path).load()


def _first_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            index = next((f"give {file}" for file in sorted(path.glob(f"*{shards.SUFFIX}"))), "")
            raise WeightsError(f"{path}: this is a folder, not a file", hint=index)
        with path.open("rb") as file:
            return file.read(512)
    except FileNotFoundError:
        raise WeightsError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: the file cannot be read: {getattr(error, 'strerror', '') or error}") from None


def _guess(start: bytes) -> str:
    """What a file that is not a weights file seems to be."""
    if not start:
        return "it is empty"
    if start.startswith(b"version https://git-lfs"):
        return "it is a placeholder of Git LFS; `git lfs pull` fetches the weights"
    if start[:1] == b"<":
        return "it is a web page; did the download fail?"
    if start[257:262] == b"ustar":
        return "it is a tar archive, as torch before 0.1.10 wrote; load and save it in an old torch"
    if start[:1] == b"\x80":
        return "it is a pickle that torch.save did not write; save the state_dict with torch.save or as safetensors"
    return "weights are read from safetensors and from what torch.save writes"

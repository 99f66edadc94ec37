"""What images are divided by: a digest of the name, as good as random and the same whatever others there are."""

from __future__ import annotations

import hashlib
import os


def name_digest(name: str) -> bytes:
    """Of an image, by its name below the folder of images."""
    return hashlib.blake2b(os.fsencode(name)).digest()

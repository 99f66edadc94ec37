"""Download a published file: whole and as published, or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from rich.console import Console
from rich.progress import wrap_file

from spdbuild.errors import DataError
from spdbuild.system.files import make_folder, write_whole

#: Seconds without a byte after which the download fails.
_TIMEOUT = 60.0

_CHUNK = 1 << 20


def fetch(url: str, target: Path, md5: str) -> None:
    """Write what is at `url` to `target`; DataError if the download fails or has another MD5."""
    make_folder(target.parent, failure=DataError)
    write_whole(target, lambda beside: _fill(beside, url, target, md5), failure=DataError)


def _fill(path: Path, url: str, target: Path, md5: str) -> None:
    elsewhere = f"fetch it elsewhere and put it into {target.parent}"
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("wb") as file:
        for chunk in _chunks(url, elsewhere):
            file.write(chunk)
            digest.update(chunk)
    if digest.hexdigest() != md5:
        message = f"what {url} sent is cut off or not what was published: its MD5 is not {md5}"
        raise DataError(message, hint=f"try again, or {elsewhere}")


def _chunks(url: str, hint: str) -> Iterator[bytes]:
    try:
        with urlopen(url, timeout=_TIMEOUT) as response:
            total = int(response.headers.get("Content-Length", 0)) or None
            console = Console(stderr=True)
            with wrap_file(response, total or 0, description=url, console=console, transient=True) as shown:
                while chunk := shown.read(_CHUNK):
                    yield chunk
    except (OSError, HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()
        reason = error.reason if isinstance(error, URLError) else error
        raise DataError(f"{url} cannot be downloaded: {reason}", hint=hint) from None

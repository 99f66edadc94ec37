"""Atomic writing: files and folders are complete or not there at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from spdbuild.errors import DiskFullError, InputError, SpdbuildError, first_line
from spdbuild.system.locks import FolderLock

#: The name of an unfinished file of `write_whole`: the file's name, eight characters, and its suffix again.
_UNFINISHED = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}(?P<suffix>(\.[^.]+)?)")

#: What the system says of a disk without room, or without room for this person.
NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT))

#: What systems say that do not let a program set permissions, or flush a folder: Windows, network drives, FUSE.
_NOT_OFFERED = frozenset(
    (errno.EPERM, errno.EACCES, errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
)

T = TypeVar("T")


def write_whole(path: Path, write: Callable[[Path], T], *, failure: type[SpdbuildError] = InputError) -> T:
    """Let `write` fill a file beside `path`, move it there once it is on disk, and return what `write` returned.

    Whatever happens on the way, a kill included, `path` is what it was or what it should be. Raises DiskFullError on a
    full disk, and `failure` if the system refuses for another reason; other errors of `write` are passed on.
    A symbolic link stays one: the file that it points to is replaced. What is no file, such as a pipe or /dev/null, is
    written to at the end and never replaced.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            return _write_into(path, write)
        target = path.resolve() if path.is_symlink() else path
    except OSError as error:
        raise unwritten(path, error, failure) from None
    except RuntimeError:
        # What Python before 3.13 raises for links that lead to themselves.
        raise failure(f"{path} cannot be written: it is a link that leads to itself") from None
    if not target.parent.is_dir():
        raise failure(f"{path} cannot be written: there is no folder {target.parent}", hint="make the folder first")
    if path.is_dir():
        raise failure(f"{path} cannot be written: it is a folder")
    try:
        beside = _new_beside(target)
        try:
            # A library may put a file of its own in its place, to which nobody else has access.
            mode = (target if target.exists() else beside).stat().st_mode
            result = write(beside)
            _flush(beside)
            with _where_offered():
                beside.chmod(mode)
            beside.replace(target)
            with _where_offered():
                _flush_folder(target.parent)
            return result
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise unwritten(path, error, failure) from None


def _new_beside(target: Path) -> Path:
    """An empty file beside `target`, under a name of its own, with the permissions that the system gives new files."""
    while True:
        beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}{target.suffix}")
        with suppress(FileExistsError):
            os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
            return beside


def _write_into(stream: Path, write: Callable[[Path], T]) -> T:
    with TemporaryDirectory() as folder:
        whole = Path(folder, stream.name)
        result = write(whole)
        with whole.open("rb") as file, stream.open("wb") as to:
            shutil.copyfileobj(file, to)
        return result


def write_text(path: Path, text: str, *, failure: type[SpdbuildError] = InputError) -> None:
    """Write a text file in UTF-8 atomically, without changing line ends. Raises as `write_whole`.

    What UTF-8 cannot encode, such as undecodable bytes of a file's name, is written as Python escapes it.
    """
    write_whole(path, lambda beside: _fill(beside, text), failure=failure)


def make_folder(path: Path, *, failure: type[SpdbuildError] = InputError) -> None:
    """Create a folder and its parents if they are missing. Raises DiskFullError and `failure`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritten(path, error, failure) from None


def write_folder(
    path: Path, write: Callable[[Path], T], *, failure: type[SpdbuildError] = InputError, replacing: bool = False
) -> T:
    """Let `write` fill a folder beside `path`, move it there once it is complete, and return what `write` returned.

    There must be nothing at `path`, or an empty folder; replacing: or any folder, whose content is removed. Raises
    DiskFullError on a full disk, and `failure` if the system refuses for another reason.
    """
    make_folder(path.parent, failure=failure)
    try:
        with (
            TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as beside,
            FolderLock(Path(beside)) as lock,
        ):
            # Tells others that this one is no remainder of a program that was killed.
            lock.get()
            # The temporary folder is private to its owner; a folder in it has the usual permissions.
            fresh = Path(beside, "new")
            fresh.mkdir()
            result = write(fresh)
            if replacing and path.exists():
                _exchange(path, fresh, Path(beside, "old"))
            else:
                # Not every system replaces even an empty folder. What has content stays, and replacing it then fails.
                with suppress(OSError):
                    path.rmdir()
                fresh.replace(path)
            return result
    except OSError as error:
        raise unwritten(path, error, failure) from None


def _exchange(path: Path, fresh: Path, old: Path) -> None:
    """Move what is at `path` to `old`, and `fresh` to `path`; if the latter fails, nothing is moved."""
    path.replace(old)
    try:
        fresh.replace(path)
    except OSError:
        old.replace(path)
        raise


def require_writable(folder: Path) -> None:
    """Raise InputError if files cannot be written into `folder`, before work is done whose results would have no place.

    The folder need not exist; it is not made.
    """
    try:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:
        raise unwritten(folder, error) from None
    if not existing.is_dir():
        raise InputError(f"{existing} is a file", hint="give a folder, a new one or one to write into")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise unwritten(folder, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def expanded(path: str | Path) -> Path:
    """A path with its `~` replaced by the home folder; as it is where nobody knows that of the user."""
    path = Path(path)
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file; a file that is not there is none."""
    return one.exists() and other.exists() and one.samefile(other)


def refuse_overwriting(output: Path | None, source: Path | None) -> None:
    """Raise InputError if `output` is the very file that is read, whose content would be lost."""
    if output is not None and source is not None and is_same_file(output, source):
        raise InputError(f"{output} is the file that is converted", hint="write to another file")


def regular(path: Path) -> Path:
    """`path`, unless it is a pipe or a device, which may have no end or keep a reader waiting: OSError."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "it is no file but a pipe or a device")
    return path


def append(path: Path, content: bytes) -> None:
    """Append all of `content` to a file, or nothing. Raises OSError."""
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        try:
            written = file.write(content)
            if written < len(content):
                # The system writes what fits, and gives the reason when asked to write the rest.
                file.write(content[written:])
        except OSError:
            file.truncate(before)
            raise


def remove_unfinished(folder: Path, name: str | None = None) -> None:
    """Remove what `write_whole` left when it was killed: anywhere below a folder; or in it, of files of such a name.

    name: a pattern, as of `Path.glob`.
    """
    for path in folder.rglob(".*") if name is None else folder.glob(f".{name}.*"):
        match = _UNFINISHED.fullmatch(path.name)
        if match and path.is_file() and Path(match["name"]).suffix == match["suffix"]:
            path.unlink()


def remove_unfinished_folders(parent: Path, name: str) -> None:
    """Remove what `write_folder` left in `parent` when it was killed. name: a pattern of the folders' names."""
    for path in parent.glob(f".{name}.{8 * '[a-z0-9_]'}"):
        with FolderLock(path) as lock:
            if lock.get() and lock.held:
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def unwrapped_os_error() -> Iterator[None]:
    """Around a library call that writes a file: raise the OSError that the library's RuntimeError hides."""
    try:
        yield
    except RuntimeError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        raise cause from None


def is_text(path: Path | str) -> bool:
    """Whether a path has only bytes that are text in UTF-8, as many libraries expect."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def unwritten(path: Path, error: OSError, failure: type[SpdbuildError] = InputError) -> SpdbuildError:
    """The error to raise if `path` could not be written because of `error`."""
    reason = error.strerror or first_line(error)
    if error.errno in NO_ROOM:
        room = f"; it needs more than the {_free(path):,} bytes that are free" if error.errno == errno.ENOSPC else ""
        return DiskFullError(f"{path} cannot be written: {reason}{room}", hint="make room, or write to another disk")
    return failure(f"{path} cannot be written: {reason}")


def _free(path: Path) -> int:
    """Free bytes on the disk of a file that may not exist yet."""
    return shutil.disk_usage(next(parent for parent in path.absolute().parents if parent.is_dir())).free


def _fill(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def _flush(path: Path) -> None:
    # Windows flushes only what is open for writing.
    _flush_opened(os.open(path, os.O_RDWR))


def _flush_folder(path: Path) -> None:
    _flush_opened(os.open(path, os.O_RDONLY))


def _flush_opened(handle: int) -> None:
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _where_offered() -> Iterator[None]:
    """Around what a written file can do without: the errors of systems that do not offer it are none."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise

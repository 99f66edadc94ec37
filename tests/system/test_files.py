"""Text files that are there whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spdbuild.errors import DiskFullError, InputError, SpdbuildError
from spdbuild.system.files import (
    append,
    expanded,
    regular,
    remove_unfinished,
    remove_unfinished_folders,
    require_writable,
    unwrapped_os_error,
    unwritten,
    write_folder,
    write_text,
    write_whole,
)


def test_a_text_is_written_as_it_is(tmp_path: Path):
    write_text(tmp_path / "new.yaml", "größe: 1\r\n")
    assert (tmp_path / "new.yaml").read_bytes() == "größe: 1\r\n".encode()


def test_what_was_written_may_be_told(tmp_path: Path):
    assert write_whole(tmp_path / "new.txt", lambda beside: beside.write_text("four")) == 4


def test_what_goes_wrong_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "old.yaml"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match="old.yaml cannot be written: No space left on device"):
        write_text(path, "new")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("old.yaml", "old")]


def refusing(number: int, *, folders: bool = True) -> Callable[..., None]:
    """What in place of a call of the system refuses with an error; folders: only for the descriptors of folders."""

    def refuse(opened: object, *others: object) -> None:
        if not folders or os.path.isdir(f"/proc/self/fd/{opened}"):  # noqa: PTH112
            raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_drive_need_not_set_permissions_nor_flush_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fsync", refusing(number))
    monkeypatch.setattr(Path, "chmod", refusing(number, folders=False))
    for text in ("one", "two"):
        write_text(tmp_path / "new", text)
        assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("new", text)]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("call", ["fsync", "chmod"])
def test_a_drive_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    owner = os if call == "fsync" else Path
    monkeypatch.setattr(owner, call, refusing(number, folders=call == "fsync"))
    with pytest.raises(SpdbuildError, match=os.strerror(number)):
        write_text(tmp_path / "new", "new")


def test_where_folders_cannot_be_opened_files_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def of_windows(path: Path, *flags: int, **others: int) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *flags, **others)

    monkeypatch.setattr(os, "open", of_windows)
    write_text(tmp_path / "new", "new")
    assert (tmp_path / "new").read_text() == "new"


def test_what_is_flushed_is_open_for_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_windows(opened: int) -> None:
        if fcntl.fcntl(opened, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flushed.append(opened)

    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", of_windows)
    write_text(tmp_path / "new", "new")
    assert len(flushed) == 1


def test_where_an_empty_folder_is_not_replaced_it_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def of_windows(path: Path, target: Path) -> Path:
        if target.is_dir():
            raise PermissionError(errno.EACCES, "Access is denied")
        return replace(path, target)

    def write(folder: Path) -> None:
        (folder / "a").write_text("new")

    monkeypatch.setattr(Path, "replace", of_windows)
    (tmp_path / "empty").mkdir()
    write_folder(tmp_path / "empty", write)
    assert (tmp_path / "empty" / "a").read_text() == "new"
    with pytest.raises(InputError, match="empty cannot be written: Access is denied"):
        write_folder(tmp_path / "empty", write)
    assert (tmp_path / "empty" / "a").read_text() == "new"


def test_permissions_are_those_of_the_old_file_or_the_usual_ones(tmp_path: Path):
    (tmp_path / "usual").touch()
    (tmp_path / "old").touch(mode=0o600)
    for name in ("old", "new"):
        write_text(tmp_path / name, "")
    assert (tmp_path / "old").stat().st_mode == 0o100600
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_permissions_are_the_usual_ones_whatever_wrote_the_file(tmp_path: Path):
    def replaced(beside: Path) -> None:
        beside.unlink()
        beside.touch(mode=0o600)

    (tmp_path / "usual").touch()
    (tmp_path / "old").touch(mode=0o640)
    for name in ("old", "new"):
        write_whole(tmp_path / name, replaced)
    assert (tmp_path / "old").stat().st_mode == 0o100640
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_what_a_killed_program_left_is_removed_and_nothing_else(tmp_path: Path):
    kept = [".hidden", ".gitignore", "state.pt", ".state.pt.short.pt", ".state.pt.abcd1234.txt", ".a.b_UPPER_"]
    left = [".state.pt.abcd1234.pt", ".log.txt.a_b1c2d3.txt", ".name.12345678"]
    (tmp_path / "below").mkdir()
    for name in [*kept, *left]:
        (tmp_path / "below" / name).touch()
    remove_unfinished(tmp_path)
    assert {path.name for path in (tmp_path / "below").iterdir()} == set(kept)


def test_the_names_of_unfinished_files_are_those_that_are_removed(tmp_path: Path):
    def killed(beside: Path) -> None:
        remove_unfinished(tmp_path)
        assert not beside.exists()
        beside.touch()

    for name in ("state.pt", "name", "two.dots.yaml"):
        write_whole(tmp_path / name, killed)


def test_appending_adds_to_what_is_there(tmp_path: Path):
    append(tmp_path / "log", b"one\n")
    append(tmp_path / "log", b"two\n")
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


def test_what_does_not_fit_is_not_appended_in_part(tmp_path: Path):
    # The system takes the part of a write that is below the limit on a file's size, and refuses the rest.
    program = f"""
import resource, signal
from pathlib import Path
from spdbuild.system.files import append
log = Path({str(tmp_path / "log")!r})
append(log, b"one")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5, 5))
try:
    append(log, b"three")
except OSError as error:
    print(error.strerror)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "File too large\n"
    assert (tmp_path / "log").read_bytes() == b"one"


def test_a_path_has_the_home_folder_where_there_is_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~/data/~x") == Path("/home/me/data/~x")
    assert expanded("~nobody_of_this_name/data") == Path("~nobody_of_this_name/data")


def test_unfinished_files_of_a_name_are_removed_and_no_others(tmp_path: Path):
    kept, left = [".b.txt.abcd1234.txt", "a.txt", "below"], ".a.txt.abcd1234.txt"
    (tmp_path / "below").mkdir()
    for name in [*kept[:2], left, f"below/{left}"]:
        (tmp_path / name).touch()
    remove_unfinished(tmp_path, "a*")
    assert {path.name for path in tmp_path.iterdir()} == set(kept)
    assert (tmp_path / "below" / left).exists()


def test_an_unfinished_folder_is_removed_once_nobody_writes_it(tmp_path: Path):
    def other(folder: Path) -> None:
        remove_unfinished_folders(tmp_path, "new*")
        (folder / "a").write_text("one")

    (tmp_path / ".new-2.abcd1234" / "new").mkdir(parents=True)
    (tmp_path / ".other.abcd1234").mkdir()
    write_folder(tmp_path / "new", other)
    assert (tmp_path / "new" / "a").read_text() == "one"
    assert {path.name for path in tmp_path.iterdir()} == {"new", ".other.abcd1234"}


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    def write(folder: Path) -> int:
        (folder / "a").write_text("one")
        return 7

    def fail(folder: Path) -> None:
        write(folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskFullError, match="new cannot be written: No space left"):
        write_folder(tmp_path / "above" / "new", fail)
    assert list((tmp_path / "above").iterdir()) == []
    assert write_folder(tmp_path / "above" / "new", write) == 7
    assert [path.name for path in (tmp_path / "above").iterdir()] == ["new"]
    with pytest.raises(InputError, match="new cannot be written"):
        write_folder(tmp_path / "above" / "new", write)
    (tmp_path / "empty").mkdir()
    write_folder(tmp_path / "empty", write)
    assert (tmp_path / "empty" / "a").read_text() == "one"


def test_a_folder_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").mkdir()
    write_folder(tmp_path / "new", lambda folder: None)
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_where_a_folder_is_wanted_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    require_writable(tmp_path)
    require_writable(tmp_path / "new")
    with pytest.raises(InputError, match="file is a file"):
        require_writable(tmp_path / place)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("place", ["", "new/below"])
def test_a_folder_in_which_nothing_may_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    # Who runs the tests may be allowed everything.
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(InputError, match=f"{tmp_path / place} cannot be written: Permission denied"):
        require_writable(tmp_path / place)


def test_what_is_no_text_in_a_name_is_written_as_python_shows_it(tmp_path: Path) -> None:
    write_text(tmp_path / "names.txt", os.fsdecode(b"wa\xffsp, b\xc3\xa4r"))
    assert (tmp_path / "names.txt").read_text(encoding="utf-8") == "wa\\udcffsp, bär"


def test_what_the_writer_does_wrong_is_no_matter_of_the_disk(tmp_path: Path) -> None:
    def wrong(beside: Path) -> None:
        raise NotImplementedError("an op that is not there")

    with pytest.raises(NotImplementedError, match="an op that is not there"):
        write_whole(tmp_path / "new", wrong)
    assert not list(tmp_path.iterdir())


def test_the_error_of_the_system_is_found_in_that_of_a_library(tmp_path: Path) -> None:
    def wrapped(beside: Path) -> None:
        with unwrapped_os_error():
            try:
                raise OSError(28, "No space left on device")
            except OSError as error:
                raise RuntimeError("unexpected pos 64 vs 0") from error

    with pytest.raises(DiskFullError, match="new cannot be written: No space left on device"):
        write_whole(tmp_path / "new", wrapped)


def test_a_link_stays_and_its_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    file, link = tmp_path / "elsewhere" / "file", tmp_path / "link"
    link.symlink_to(file)
    for text in ("first", "second"):
        write_text(link, text)
        assert link.is_symlink()
        assert file.read_text() == text


def test_what_is_no_file_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        write_text(pipe, "through")
        assert reader.communicate()[0] == b"through"
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_the_output_of_a_program_can_be_named_as_a_file() -> None:
    code = "import sys; from spdbuild.system.files import *; write_text(Path('/dev/stdout'), 'told')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "told", "")


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "loop"
    link.symlink_to(link)
    with pytest.raises(InputError, match="loop cannot be written: "):
        write_text(link, "new")
    assert link.is_symlink()


def test_a_quota_that_is_used_up_is_a_full_disk(tmp_path: Path) -> None:
    error = unwritten(tmp_path / "new", OSError(errno.EDQUOT, "Disk quota exceeded"))
    assert isinstance(error, DiskFullError)
    assert str(error).startswith(f"error: {tmp_path / 'new'} cannot be written: Disk quota exceeded\n")


def test_a_pipe_or_a_device_is_no_regular_file(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    for name in ("pipe", "device"):
        with pytest.raises(OSError, match="it is no file but a pipe or a device"):
            regular(tmp_path / name)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    assert regular(tmp_path / "link") == tmp_path / "link"

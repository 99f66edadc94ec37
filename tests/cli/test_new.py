"""`spdbuild new`."""

from __future__ import annotations

from pathlib import Path

from spdbuild.templates import new_text


def test_a_new_file_passes_the_check(run, tiny: Path):
    result = run("new", "mine", "-o", "mine.yaml")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "wrote mine.yaml\n")
    assert Path("mine.yaml").read_text() == new_text("mine")
    assert run("check", "mine.yaml").stdout == "mine.yaml: ok, parameters: 328,874\n"


def test_without_a_file_the_text_goes_to_stdout(run):
    assert run("new", "mine").stdout == new_text("mine")


def test_a_copy_of_a_built_in_network(run, tiny: Path):
    run("new", "mine", "--from", "yolov5", "-o", "mine.yaml")
    assert run("check", "mine.yaml").stdout == (
        "mine.yaml: ok, parameters: n 1,872,157, s 7,235,389, m 21,190,557, l 46,563,709, x 86,749,405\n"
    )


def test_a_copy_of_a_file(run, tiny: Path):
    assert run("new", "mine", "--from", "tiny.yaml").stdout == tiny.read_text().replace("model: tiny", "model: mine")


def test_no_file_is_replaced(run, tiny: Path):
    before = tiny.read_text()
    result = run("new", "mine", "-o", "tiny.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: tiny.yaml exists\n      = hint: give another file; this command replaces none\n"
    assert tiny.read_text() == before


def test_a_name_that_cannot_be_leaves_no_file(run, tiny: Path):
    result = run("new", "not one", "-o", "mine.yaml")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: an architecture cannot be called 'not one'\n      = hint: use letters, digits and _\n",
    )
    assert not Path("mine.yaml").exists()


def test_a_copy_in_another_folder_extends_and_imports_the_same_files(run, own: Path):
    Path("derived.yaml").write_text("model: derived\nextends: own\nimports:\n  - own_ops.py\nexpect: {macs: 1}\n")
    for base in (own, "derived.yaml"):
        file = Path("sub", f"of_{base}")
        assert run("new", "mine", "--from", base, "--allow-imports", "-o", file).exit_code == 0
        assert run("check", file, "--allow-imports").stdout == f"{file}: ok, parameters: 108\n"
        file.write_text(run("new", "mine", "--from", base, "--allow-imports").stdout)
        assert run("check", file, "--allow-imports").stdout == f"{file}: ok, parameters: 108\n"
    assert run("new", "mine", "--from", "derived.yaml", "--allow-imports", "-o", "sub/copy.yaml").exit_code == 0
    copy = "model: mine\nextends: ../own.yaml\nimports:\n  - ../own_ops.py\n"
    assert Path("sub/copy.yaml").read_text() == copy

"""The group: how commands are found, and what every one of them does with errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import click
import pytest

import spdbuild.cli
from spdbuild import __main__
from spdbuild.cli import Commands
from spdbuild.cli import spdbuild as group
from spdbuild.errors import RunError, StoppedError

ROOT = Path(__file__).parents[2]
CONTEXT = click.Context(group)
NAMES = group.list_commands(CONTEXT)

#: Run where `torch` cannot be imported.
WITHOUT_TORCH = (
    "import sys; sys.modules['torch'] = None; sys.argv[0] = 'spdbuild'; from spdbuild.cli import main; main()"
)


def test_the_commands_of_the_graph_are_all_found():
    assert {"check", "convert", "diff", "doctor", "ls", "ops", "passes", "schema", "show", "summary"} <= set(NAMES)


def test_a_command_may_be_called_otherwise_than_its_file():
    assert "import" in NAMES
    assert "import_" not in NAMES
    assert group.get_command(CONTEXT, "import_") is None


def test_a_file_is_named_like_its_command_unless_python_keeps_the_name():
    folder = Path(spdbuild.cli.__file__).parent
    assert [name for name in NAMES if not (folder / f"{name}.py").is_file()] == ["import"]


def test_a_file_without_a_command_is_none():
    assert "options" not in NAMES
    assert group.get_command(CONTEXT, "options") is None


@pytest.mark.parametrize("arguments", [["ops", "relu"], ["eval", "--help"]], ids=" ".join)
def test_running_a_command_imports_no_other(arguments: list[str]):
    code = "import sys; from spdbuild.cli import main\ntry: main()\nexcept SystemExit: print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()
    assert f"spdbuild.cli.{arguments[0]}" in loaded
    assert "spdbuild.cli.convert" not in loaded


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_and_says_what_its_options_do(name: str):
    command = group.get_command(CONTEXT, name)
    assert command is not None
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.opts


@pytest.mark.parametrize("name", NAMES)
def test_options_that_may_be_repeated_say_so_in_the_same_words(name: str):
    command = group.get_command(CONTEXT, name)
    below = command.commands.values() if isinstance(command, click.Group) and name == "weights" else [command]
    for option in (param for one in below for param in one.params if isinstance(param, click.Option)):
        says = option.help.endswith("May be repeated.") or option.help == "Input shape; one for each input."
        assert says == option.multiple, option.opts
        assert option.metavar or not isinstance(option.type, click.Path), option.opts


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["ls"],
        ["ops"],
        ["passes", "strided_to_spd"],
        ["schema", "architecture"],
        ["summary", "yolov5", "--variant", "l"],
        ["convert", "resnet50", "--json"],
        ["check", *map(str, sorted((ROOT / "architectures").glob("*.yaml")))],
        ["diff", "resnet50", "resnet50_spd_cifar10"],
        ["show", "resnet50", "--text"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_graph_side_never_imports_torch(arguments: list[str]):
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("command", ["check", "show"])
def test_recipes_are_read_without_what_only_runs_need(command: str):
    code = (
        "import sys; sys.modules |= {'torch._dynamo': None, 'torchvision': None}; sys.argv[0] = 'spdbuild'; "
        "from spdbuild.cli import main; main()"
    )
    recipe = str(ROOT / "recipes" / "quickstart.yaml")
    done = subprocess.run([sys.executable, "-c", code, command, recipe], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "quickstart" in done.stdout


def test_the_module_can_be_run():
    done = subprocess.run([sys.executable, "-m", "spdbuild", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"spdbuild {spdbuild.__version__}\n"


def test_an_unknown_command_suggests_the_nearest(run):
    result = run("sumary", "resnet50")
    assert result.exit_code == 2
    assert result.stderr == "error: there is no command 'sumary'\n      = hint: did you mean 'summary'?\n"


@pytest.mark.parametrize("words", [["data", "chek"], ["weights", "exprt"]], ids=" ".join)
def test_an_unknown_command_of_a_group_suggests_the_nearest(run, words: list[str]):
    result = run(*words)
    near = {"chek": "check", "exprt": "export"}[words[1]]
    told = f"error: there is no command '{' '.join(words)}'\n      = hint: did you mean '{near}'?\n"
    assert (result.exit_code, result.stderr) == (2, told)


def test_a_mistake_in_a_file_is_shown_without_a_traceback(run, tiny: Path):
    tiny.write_text(tiny.read_text().replace("stride=2)   #", "strid=2)   #"))
    result = run("summary", tiny)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        "tiny.yaml:10:24: error: conv_norm() has no argument 'strid'\n"
        "   10 |   - down: conv_norm(8, strid=2)   # keeps its comment\n"
        "      |                        ^\n"
        "      = hint: did you mean 'stride'?\n"
    )


def _group_with(function: object) -> Commands:
    class Alone(Commands):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            return click.Command("fail", callback=function)

    return Alone("spdbuild")


def _failing(error: BaseException) -> object:
    def fail() -> None:
        raise error

    return fail


def test_a_run_that_failed_ends_with_1():
    result = click.testing.CliRunner().invoke(_group_with(_failing(RunError("it diverged"))), ["fail"])
    assert (result.exit_code, result.stderr) == (1, "error: it diverged\n")


def test_an_interrupt_ends_with_130():
    result = click.testing.CliRunner().invoke(_group_with(_failing(KeyboardInterrupt())), ["fail"])
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_a_training_that_a_signal_stops_ends_as_any_command(number: signal.Signals, code: int):
    stopped = StoppedError("stopped by a signal", signal=number, hint="go on")
    result = click.testing.CliRunner().invoke(_group_with(_failing(stopped)), ["fail"])
    assert (result.exit_code, result.stderr) == (code, "error: stopped by a signal\n      = hint: go on\n")


def test_the_help_names_the_exit_codes(run):
    told = " ".join(run("--help").stdout.split())
    assert "0 done, 1 the run or comparison failed, 2 wrong input, 130 interrupted by Ctrl-C" in told


def test_a_bug_keeps_its_traceback():
    result = click.testing.CliRunner().invoke(_group_with(_failing(ZeroDivisionError("a bug"))), ["fail"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_reader_that_stops_reading_is_no_error():
    command = [sys.executable, "-m", "spdbuild", "summary", "yolov5", "--variant", "x", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""


def test_an_output_that_cannot_be_written_is_told(tmp_path: Path):
    command = f"ulimit -f 0; exec {sys.executable} -m spdbuild summary resnet18 --json > {tmp_path / 'out.json'}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "error: the output cannot be written: File too large\n")


def test_a_current_folder_that_was_deleted_is_told(tmp_path: Path):
    (tmp_path / "gone").mkdir()
    command = f"cd {tmp_path}/gone; rmdir {tmp_path}/gone; exec {sys.executable} -P -m spdbuild train quickstart"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    hint = "      = hint: cd to one that does\n"
    assert (done.returncode, done.stderr) == (2, f"error: the current folder does not exist any more\n{hint}")


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("spdbuild summary resnet5", "plain,resnet50"),
        ("spdbuild train quickst", "plain,quickstart"),
        ("spdbuild eval quickst", "plain,quickstart"),
        ("spdbuild sweep quickst", "plain,quickstart"),
    ],
    ids=lambda text: text.split()[1] if " " in text else "",
)
def test_names_of_files_that_come_with_the_package_are_completed(typed: str, completed: str):
    words = {"COMP_WORDS": typed, "COMP_CWORD": "2", "_SPDBUILD_COMPLETE": "bash_complete"}
    command = [sys.executable, "-c", "from spdbuild.cli import main; main()"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | words)
    assert completed in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "3,a"], "error: --input must be sizes such as 3,64,64, got '3,a'\n"),
        (["--input", "3,0,8"], "error: --input must be sizes such as 3,64,64, got '3,0,8'\n"),
        (
            ["--input", "3,8,8", "--input", "3,8,8"],
            "error: tiny has 1 input, got 2 shapes\n      = hint: give one shape for each input\n",
        ),
        (
            ["--var", "classes"],
            "error: --var must be NAME=VALUE, got 'classes'\n      = hint: for example --var classes=10\n",
        ),
        (["--var", "classes=2"], "error: tiny has no var 'classes'\n      = hint: it has none\n"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(run, tiny: Path, arguments: list[str], message: str):
    result = run("summary", tiny, *arguments)
    assert (result.exit_code, result.stderr) == (2, message)


def test_the_network_of_a_run_is_seen_at_another_size(run, trained: Path):
    result = run("summary", trained, "--input", "3,16,16", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["macs"] == 4 * (11_600 - 80) + 80


@pytest.mark.parametrize("command", ["summary", "show", "export"])
def test_shapes_that_do_not_fit_the_inputs_of_a_run_are_refused(run, trained: Path, command: str):
    result = run(command, trained, "--input", "3,8,8", "--input", "3,8,8")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: tiny has 1 input, got 2 shapes\n      = hint: give one shape for each input\n",
    )


def test_imports_run_only_when_allowed(run, tiny: Path):
    Path("own.py").write_text("")
    tiny.write_text(tiny.read_text() + "imports: [own.py]\n")
    assert "--allow-imports" in run("summary", tiny).stderr
    assert run("summary", tiny, "--allow-imports").exit_code == 0


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, spdbuild.cli.SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
    ids=["nothing", "their own number", "a policy"],
)
def test_threads_wait_as_the_person_says_or_briefly(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], spins: str | None
) -> None:
    # As torch's libgomp finds it when the command imports it.
    seen = []
    monkeypatch.setattr(os, "environ", dict(given))
    monkeypatch.setattr(spdbuild.cli, "spdbuild", lambda prog_name: seen.append(os.environ.get("GOMP_SPINCOUNT")))
    with pytest.raises(AssertionError):
        spdbuild.cli.main()
    assert seen == [spins]


#: Something of C++ that would abort the process stands for gloo's threads: it is destroyed with the interpreter.
ABORTS_AT_ITS_END = """
import atexit, os, sys

class Aborts:
    def __del__(self):
        os.abort()

import builtins
builtins.aborts = Aborts()
atexit.register(lambda: print("exit handlers have run"))
from spdbuild.cli import main
main()
"""


def test_a_worker_of_torchrun_that_is_done_ends_before_the_interpreter_is_torn_down():
    command = [sys.executable, "-c", ABORTS_AT_ITS_END, "ls", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"TORCHELASTIC_RUN_ID": "none"})
    assert done.returncode == 0
    assert done.stdout.endswith("exit handlers have run\n")
    alone = subprocess.run([sys.executable, "-m", "spdbuild", "ls", "--json"], capture_output=True, text=True)
    assert done.stdout.removesuffix("exit handlers have run\n") == alone.stdout


#: Writes a file, and gets a signal when that is done but not in its place.
SIGNALLED = """
import os, signal, sys
from pathlib import Path

replace, number = Path.replace, getattr(signal, sys.argv.pop())

def signalled(path, target):
    os.kill(os.getpid(), number)
    return replace(path, target)

Path.replace = signalled
from spdbuild.cli import main
main()
"""


def _signalled(folder: Path, name: str, shell: str = "") -> tuple[int, str, list[str]]:
    """Exit code and words of a command that was sent a signal, and the names of what it left."""
    command = [sys.executable, "-c", SIGNALLED, "convert", "cifar_resnet20", "-o", str(folder / "new.yaml"), name]
    done = subprocess.run(["sh", "-c", f'{shell} exec "$@"', "sh", *command], capture_output=True, text=True)
    return done.returncode, done.stderr, [path.name for path in folder.iterdir()]


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("SIGINT", 130, "interrupted\n"),
        ("SIGTERM", 143, "ended by SIGTERM\n"),
        ("SIGHUP", 129, "ended by SIGHUP\n"),
    ],
)
def test_a_signal_ends_a_command_and_leaves_nothing_half_written(tmp_path: Path, name: str, code: int, said: str):
    assert _signalled(tmp_path, name) == (code, said, [])


def test_a_command_that_ignores_the_end_of_its_terminal_goes_on(tmp_path: Path):
    code, _, left = _signalled(tmp_path, "SIGHUP", shell="trap '' HUP;")
    assert (code, left) == (0, ["new.yaml"])


@pytest.mark.parametrize("stream", ["1", "2"], ids=["stdout", "stderr"])
def test_a_stream_that_is_closed_is_no_error(stream: str):
    command = [sys.executable, "-m", "spdbuild", "summary", "cifar_resnet20"]
    done = subprocess.run(["sh", "-c", f'exec "$@" {stream}>&-', "sh", *command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_names_that_are_no_text_are_printed(tmp_path: Path):
    name = os.fsdecode(b"b\xff.yaml")
    command = [sys.executable, "-m", "spdbuild", "check", str(tmp_path / name)]
    (tmp_path / name).write_text((ROOT / "architectures" / "cifar_resnet20.yaml").read_text())
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "PYTHONUTF8": "0"}
    done = subprocess.run(command, capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"b\\udcff.yaml" in done.stdout or b"b\xff.yaml" in done.stdout


def test_ctrl_c_while_the_command_is_imported_ends_it_as_later(monkeypatch, capsys):
    class Importing(types.ModuleType):
        def __getattr__(self, name: str):
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "spdbuild.cli", Importing("spdbuild.cli"))
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_python_without_docstrings_is_refused():
    done = subprocess.run([sys.executable, "-OO", "-m", "spdbuild", "ops"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: Python leaves out docstrings")

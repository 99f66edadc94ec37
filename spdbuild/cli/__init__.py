"""The command line: each file here with a `command` is one, imported when it is run or its help is requested.

A command reads arguments, calls one function of the library, and prints: results to stdout, messages to stderr.
"""

from __future__ import annotations

import atexit
import errno
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from spdbuild import __version__
from spdbuild.cli.command_group import CommandGroup
from spdbuild.cli.usage import advised
from spdbuild.errors import SIGNALLED, DiskFullError, InputError, SpdbuildError, StoppedError
from spdbuild.system.files import NO_ROOM
from spdbuild.training.running.signals import EndedBySignal, interrupt_on_signals

#: How often a thread of torch checks whether the others are done before it yields its processor to another program.
#: With OpenMP's default, a run beside a busy program is a hundred times slower than alone; with less, a run alone is.
SPINS = "10000"


class Commands(CommandGroup):
    """The commands in this folder, and how their errors are shown."""

    package = __name__
    entry_points = "spdbuild.commands"

    def invoke(self, ctx: click.Context) -> Any:
        try:
            _require_current_folder()
            arguments = list(ctx.args)
            return super().invoke(ctx)
        except click.UsageError as error:
            raise advised(error, arguments) from None
        except (SpdbuildError, StoppedError) as error:
            _say(str(error))
            ctx.exit(error.exit_code)
        except OSError as error:
            # Writing files raises its own errors; this is the printed output, redirected to a file.
            if error.errno not in {*NO_ROOM, errno.EFBIG, errno.EIO}:
                raise
            _say(f"error: the output cannot be written: {error.strerror}")
            ctx.exit(DiskFullError.exit_code)
        except EndedBySignal as error:
            _say(f"ended by {error}")
            ctx.exit(SIGNALLED + error.number)
        except KeyboardInterrupt:
            _say("interrupted")
            ctx.exit(SIGNALLED + signal.SIGINT)


def _require_current_folder() -> None:
    """Refuse a current folder that was deleted, in which torch's libraries end the program without a reason."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise InputError("the current folder does not exist any more", hint="cd to one that does") from None


def _say(text: str) -> None:
    # The program may have ended because its terminal is gone.
    with suppress(OSError):
        click.echo(text, err=True)


_COMPLETION = """\b
Completion of commands, options and names of architectures:
  eval "$(_SPDBUILD_COMPLETE=bash_source spdbuild)"     (or zsh_source, fish_source)
"""


@click.command(cls=Commands, epilog=_COMPLETION, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="spdbuild", message="%(prog)s %(version)s")
def spdbuild() -> None:
    """Build, convert, cost and train convolutional networks from YAML.

    Exit codes: 0 done, 1 the run or comparison failed, 2 wrong input, 130 interrupted by Ctrl-C, 128 + N ended by
    another signal N, such as 143 by SIGTERM; a training that a signal stops saves its state before.
    """


def main() -> NoReturn:
    """The entry point of the command `spdbuild`."""
    if sys.flags.optimize > 1:
        # Options, help and schema are made from docstrings, which Python then leaves out.
        _say("error: Python leaves out docstrings (-OO or PYTHONOPTIMIZE=2)\n      = hint: use at most -O")
        sys.exit(InputError.exit_code)
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPINS
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # File names are not always valid text, and printing them is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    with interrupt_on_signals(), _abrupt_end_under_torchrun():
        spdbuild(prog_name="spdbuild")
    raise AssertionError("click ends the process")


@contextmanager
def _abrupt_end_under_torchrun() -> Iterator[None]:
    """End a process that torchrun started, and that is done, without tearing down what torch has in memory.

    Threads of gloo outlive their process group, and one that still runs while C++ destroys its globals may abort the
    process: torchrun would call a run that is done, with all of its files written, a failed one. A process that fails
    takes its time, so that torchrun sees first, and names, the one whose end was the reason.
    """
    try:
        yield
    except SystemExit as ended:
        if "TORCHELASTIC_RUN_ID" in os.environ and not ended.code:
            atexit._run_exitfuncs()
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError):
                    stream.flush()
            os._exit(0)
        raise

"""Worker processes of a loader."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys

import pytest

from spdbuild.data.loading import workers

#: Starts two workers of which each waits for ever over its second batch; what torch waits is made short.
STUCK = """
import os, signal, time
import torch.utils.data._utils as waiting

waiting.MP_STATUS_CHECK_INTERVAL = waiting.worker.MP_STATUS_CHECK_INTERVAL = 0.1
from spdbuild.data.loading.workers import Workers

def make(plan):
    time.sleep(1000 * (plan > 1))
    return plan

loader = Workers(make, 2, pin_memory=False)
batches = loader.batches(range(4))
assert [next(batches), next(batches)] == [0, 1]
print("begun", flush=True)
"""
#: Starts two workers that have nothing more to do.
IDLE = STUCK.replace("(plan > 1)", "0").replace("[next(batches), next(batches)] == [0, 1]", "list(batches)")
#: Starts a worker whose batch cannot be sent.
UNSENT = """
import signal
from spdbuild.data.loading.workers import Workers

class Unsent:
    def __reduce__(self):
        raise RuntimeError("no room")

signal.alarm(60)
try:
    list(Workers(lambda plan: Unsent(), 1, pin_memory=False).batches([0]))
except RuntimeError as error:
    print(error)
"""


def pid(plan: int) -> int:
    return os.getpid()


def test_no_more_workers_are_started_than_the_machine_has_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    # torch warns of more, and warnings are errors here.
    assert workers.Workers(str, 10_000, pin_memory=False)._loader.num_workers == len(os.sched_getaffinity(0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(3))
    assert [workers.Workers(str, count, pin_memory=False)._loader.num_workers for count in (0, 2, 5)] == [0, 2, 3]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_what_is_sent_to_a_group_does_not_end_its_workers(number: signal.Signals) -> None:
    heard = []
    before = signal.signal(number, lambda *_: heard.append(1))
    try:
        loader = workers.Workers(pid, 1, pin_memory=False)
        batches = loader.batches(range(40))
        worker = next(batches)
        # Not from here: to its parent a worker listens.
        subprocess.run(["kill", f"-{int(number)}", str(worker)], check=True)
        # Behind the few that were made ahead.
        assert set(batches) == {worker} != {os.getpid()}
        os.kill(os.getpid(), number)
    finally:
        signal.signal(number, before)
    assert heard == [1]


def test_workers_end_when_their_parent_ends_them() -> None:
    loader = workers.Workers(pid, 1, pin_memory=False)
    (worker,) = {*loader.batches(range(3)), *loader.batches(range(3))}
    (process,) = (child for child in multiprocessing.active_children() if child.pid == worker)
    process.terminate()
    process.join()
    assert process.exitcode == 0


@pytest.mark.parametrize("program", [STUCK, IDLE], ids=["stuck", "idle"])
@pytest.mark.parametrize("end", ["", "os.system('kill 0')"], ids=["at its end", "ended with its group"])
def test_a_program_ends_with_its_workers_and_says_nothing(program: str, end: str) -> None:
    caught = "import sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit())\n"
    done = run(program + caught + end)
    # The end of what it says comes when its last process is gone.
    assert done.communicate(timeout=120) == ("begun\n", "")
    assert done.returncode == 0


def test_a_worker_that_cannot_send_a_batch_ends_and_says_why() -> None:
    done = run(UNSENT)
    said, reasons = done.communicate(timeout=120)
    assert said.startswith("DataLoader worker (pid"), reasons
    assert "a process that reads images cannot send a batch: no room\n" in reasons


def test_workers_of_a_program_that_is_killed_end_by_themselves() -> None:
    done = run(IDLE + "signal.pause()")
    assert done.stdout is not None
    assert done.stdout.readline() == "begun\n"
    done.kill()
    assert done.communicate(timeout=120)[0] == ""
    assert done.returncode == -signal.SIGKILL


def test_workers_are_started_where_signals_cannot_be_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_BLOCKS_SIGNALS", False)
    monkeypatch.setattr(workers, "_SEES_SENDERS", False)
    monkeypatch.setattr(workers, "_FROM_TERMINALS", (signal.SIGINT,))
    monkeypatch.delattr(signal, "pthread_sigmask")
    loader = workers.Workers(abs, 1, pin_memory=False)
    assert list(loader.batches([-1, 2])) == [1, 2]


def run(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )

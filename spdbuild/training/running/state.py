"""Taking the state of a session, and restoring it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from spdbuild.errors import WeightsError, first_line
from spdbuild.system.out_of_memory import full_memory_told, is_out_of_memory
from spdbuild.training.checkpoint import DAMAGE, Position, State, alike, damaged, generator_states, restore_generators
from spdbuild.training.running.session import Session
from spdbuild.weights import describe_module, match, misfits


def state_of(session: Session) -> State:
    """Everything that an exact resume needs. Every process must take part."""
    learner, gather = session.learner, session.processes.gather
    ema = {"updates": learner.ema.updates, "model": learner.ema.model.state_dict()} if learner.ema else None
    return State(
        position=session.position.plain(),
        data=session.data.facts(),
        model=learner.model.state_dict(),
        ema=ema,
        optimizer=learner.optimizer.state_dict(),
        scaler=learner.scaler.state_dict(),
        counts=tuple(gather(session.position.counts())),
        generators=tuple(gather(generator_states(session.device))),
        recipe=session.text,
    )


def restore(session: Session, state: State) -> None:
    """Restore the session that `state` was taken from.

    Raises WeightsError for another network or optimizer, DataError for other data.
    """
    learner, file = session.learner, session.folder.state
    with _restoring(file, "'data'"):
        last = session.folder.last
        anew = f"from weights={last}" if last.is_file() else "with the data as they are"
        session.data.require(state.data, f"bring back the data, or start a new run {anew}")
    with _restoring(file, "'model'"):
        _check_network(session, state)
        learner.model.load_state_dict(state.model)
    with _restoring(file, "'optimizer'"):
        _take_optimizer(session, state)
    with _restoring(file, "'ema'"):
        if learner.ema and state.ema is not None:
            learner.ema.model.load_state_dict(state.ema["model"])
            learner.ema.updates = int(state.ema["updates"])
    with _restoring(file, "'scaler'"):
        # It is empty if the precision was another one, which can come with another device.
        if state.scaler:
            learner.scaler.load_state_dict(state.scaler)
    with _restoring(file, "'position'"):
        session.position = Position.of(state.position)
    # If the number of processes has changed, the sums of the epoch so far are those of the first processes.
    rank = session.processes.rank
    with _restoring(file, "'counts'"):
        session.position.take(state.counts[min(rank, len(state.counts) - 1)], session.device)
    if len(state.generators) == session.processes.world:
        with _restoring(file, "'generators'"):
            restore_generators(state.generators[rank], session.device)


@contextmanager
def _restoring(file: Path, part: str) -> Iterator[None]:
    """Report an error in restoring a part of the state, which may be anything, as a damaged file."""
    with full_memory_told("the state of the run", lambda: "free memory of the device, and go on"):
        try:
            yield
        except DAMAGE as error:
            if is_out_of_memory(error):
                raise
            raise damaged(file, part) from None


def _take_optimizer(session: Session, state: State) -> None:
    optimizer = session.learner.optimizer
    groups = [{**group} for group in optimizer.param_groups]
    try:
        optimizer.load_state_dict(state.optimizer)
    except (RuntimeError, ValueError, KeyError) as error:
        if is_out_of_memory(error):
            raise
        reason = first_line(error)
        raise WeightsError(f"{session.folder.state}: the state is of another optimizer: {reason}") from None
    # torch takes any values and uses them in the next step.
    for group, fresh in zip(optimizer.param_groups, groups, strict=True):
        if not all(alike(group[name], value) for name, value in fresh.items()):
            raise TypeError
    for values in optimizer.state.values():
        if not all(isinstance(value, Tensor | float | int | None) for value in values.values()):
            raise TypeError


def _check_network(session: Session, state: State) -> None:
    _, matching = match(describe_module(session.learner.model), state.model)
    reason = next((problem.message for problem in misfits(matching)), "")
    if reason:
        raise WeightsError(f"{session.folder.state}: the state is of another network: {reason}")

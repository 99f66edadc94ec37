"""The mean of several weights, compared with numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from spdbuild.errors import ArgumentError, WeightsError
from spdbuild.weights import StoredWeights, save_weights
from spdbuild.weights.averaging import Member, average

State = dict[str, Tensor]


def members(*states: State) -> list[Member]:
    return [Member.of_state(state, f"state_dict {place}") for place, state in enumerate(states, start=1)]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_the_mean_is_that_of_numpy_rounded_once(dtype: str) -> None:
    generator = torch.Generator().manual_seed(0)
    wide = [torch.randn(5, 7, generator=generator, dtype=torch.float64) * 1000 for _ in range(7)]
    states: list[State] = [{"a": tensor.to(getattr(torch, dtype))} for tensor in wide]
    before = [state["a"].clone() for state in states]
    found = average(members(*states))["a"]
    expected = np.stack([state["a"].double().numpy() for state in states]).sum(axis=0) / 7
    assert found.dtype == getattr(torch, dtype)
    assert torch.equal(found, torch.from_numpy(expected).to(found.dtype))
    assert all(map(torch.equal, before, [state["a"] for state in states]))


def test_a_sum_beyond_the_type_has_its_mean() -> None:
    state = {"a": torch.tensor([60000.0, 2.0**-24], dtype=torch.float16)}
    assert torch.equal(average(members(state, state, state))["a"], state["a"])


def test_complex_numbers_have_a_mean() -> None:
    one, other = ({"a": torch.tensor([value], dtype=torch.complex64)} for value in (1 + 2j, 3 - 4j))
    assert average(members(one, other))["a"].tolist() == [2 - 1j]


def test_the_greatest_counter_of_batches_is_taken_and_other_integers_must_agree() -> None:
    states: list[State] = [
        {"norm.num_batches_tracked": torch.tensor(count), "index": torch.tensor([0, 1])} for count in (3, 9, 5)
    ]
    found = average(members(*states))
    assert (found["norm.num_batches_tracked"].item(), found["index"].tolist()) == (9, [0, 1])
    states[1]["index"] = torch.tensor([1, 0])
    with pytest.raises(WeightsError) as caught:
        average(members(*states))
    assert caught.value.problems[0].message == (
        "state_dict 2: 'index' is 2 of int64, which has no mean, and differs from that of state_dict 1"
    )


def test_all_differences_are_told() -> None:
    names = [f"layer{number}.weight" for number in range(20)]
    first: State = {name: torch.zeros(2) for name in names}
    second = {name: torch.zeros(2) for name in names[12:]} | {"more": torch.zeros(1)}
    third = first | {names[0]: torch.zeros(2, 3), names[1]: torch.zeros(2).half(), names[2]: torch.tensor(0.0)}
    with pytest.raises(WeightsError) as caught:
        average(members(first, second, third))
    assert [problem.message for problem in caught.value.problems] == [
        f"state_dict 2 lacks 12 weights of state_dict 1: {', '.join(names[:12])}",
        "state_dict 2 has 1 weight that state_dict 1 lacks: more",
        "state_dict 3: 'layer0.weight' is 2x3 of float32, and in state_dict 1 2 of float32",
        "state_dict 3: 'layer1.weight' is 2 of float16, and in state_dict 1 2 of float32",
        "state_dict 3: 'layer2.weight' is a single number of float32, and in state_dict 1 2 of float32",
    ]
    hints = [problem.hint for problem in caught.value.problems]
    assert hints == ["", "`spdbuild weights import` gives a file the names of an architecture", "", "", ""]


def test_a_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(WeightsError, match="state_dict 2: 'a' has values that are no numbers"):
        average(members({"a": torch.zeros(2)}, {"a": torch.tensor([0, torch.nan])}))


def test_infinities_of_both_signs_have_no_mean() -> None:
    one, other = ({"a": torch.tensor([0, sign * torch.inf])} for sign in (1, -1))
    assert average(members(one, one))["a"].tolist() == [0, torch.inf]
    with pytest.raises(WeightsError, match="state_dict 2: 'a' is infinite where one before it is, with the other sign"):
        average(members(one, other))


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.zeros(2, device="meta"), "the tensor 'a' is on the meta device, so it has no numbers"),
        (torch.eye(2).to_sparse(), r"the tensor 'a' has the layout torch\.sparse_coo, and weights are dense"),
    ],
)
def test_a_tensor_without_all_of_its_numbers_is_refused(tensor: Tensor, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Member.of_state({"a": tensor}, "state_dict 1")


def test_one_has_no_mean() -> None:
    with pytest.raises(ArgumentError, match="an average is of two or more weights, got 1"):
        average(members({"a": torch.zeros(1)}))


def test_a_file_is_read_by_its_key_and_behind_its_prefix(tmp_path: Path) -> None:
    own = {"a.weight": torch.tensor([1.0, 3.0])}
    wrapped = {"module.a.weight": torch.tensor([3.0, 5.0]), "n_averaged": torch.tensor(4), "other": torch.ones(1)}
    torch.save({"model": wrapped, "epoch": 3}, tmp_path / "a.pt")
    save_weights(tmp_path / "b.safetensors", own)
    one = Member.of_file(StoredWeights(tmp_path / "a.pt", "model", "module"))
    other = Member.of_file(StoredWeights(tmp_path / "b.safetensors"))
    found = average([one, other])
    assert {name: tensor.tolist() for name, tensor in found.items()} == {"a.weight": [2.0, 4.0]}
    assert (one.origin["source"], one.origin["source_key"], one.origin["source_prefix"]) == ("a.pt", "model", "module")
    with pytest.raises(WeightsError, match=r"b.safetensors: there are no weights behind 'module\.'"):
        Member.of_file(StoredWeights(tmp_path / "b.safetensors", prefix="module"))


def test_what_an_averaged_model_counts_is_no_weight() -> None:
    averaged = torch.optim.swa_utils.AveragedModel(torch.nn.Linear(2, 1))
    found = average(members(averaged.state_dict(), averaged.state_dict()))
    assert list(found) == ["module.weight", "module.bias"]

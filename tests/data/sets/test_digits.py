from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from spdbuild.data.sets.digits import Digits
from spdbuild.errors import InputError


def test_they_are_scikit_learns_on_the_scale_of_255() -> None:
    train, test = Digits().open("train"), Digits().open("test")
    assert (len(train), len(test), train.size) == (1437, 360, (8, 8))
    pixels = np.concatenate([train.images.numpy(), test.images.numpy()])
    np.testing.assert_allclose(pixels[:, 1] * (16 / 255), load_digits().images, atol=0.04)
    np.testing.assert_array_equal(np.concatenate([train.labels, test.labels]), load_digits().target)


def test_both_splits_have_all_digits_about_equally_often() -> None:
    assert Digits().open("test").labels.bincount().min() >= 30
    assert Digits().open("train").labels.bincount().min() >= 130


def test_without_scikit_learn_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(InputError) as caught:
        Digits().open("train")
    assert str(caught.value) == (
        "error: the data set digits needs scikit-learn\n      = hint: pip install 'spdbuild[digits]'"
    )

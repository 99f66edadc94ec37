"""Networks of model libraries by name."""

from __future__ import annotations

import pytest

from spdbuild.errors import InputError
from spdbuild.importing import zoo


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        zoo.network("timm:resnet18")
    assert str(caught.value) == "error: timm is not installed\n      = hint: pip install 'spdbuild[timm]'"

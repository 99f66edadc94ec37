"""How often images are drawn, and in what order."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spdbuild.data import ArrayImages, Loader
from spdbuild.data.draws import generator
from spdbuild.data.loading.order import epoch_order, repeats
from spdbuild.data.sampling import SAMPLINGS, Occurrences, Sampling
from spdbuild.errors import ArgumentError

#: Of 1,000 images 900, 90 and 10 are of one class.
LABELS = torch.arange(3).repeat_interleave(torch.tensor([900, 90, 10]))


def of_labels(labels: Tensor) -> Occurrences:
    return Occurrences(len(labels), torch.arange(len(labels)), labels)


def drawn(sampling: Sampling, epochs: int = 1, seed: int = 0) -> Tensor:
    """How often each of the images of LABELS is drawn, int64 [epochs, images]."""
    weights = sampling.weights(of_labels(LABELS))
    orders = [epoch_order(len(LABELS), seed, epoch, weights) for epoch in range(epochs)]
    return torch.stack([order.bincount(minlength=len(LABELS)) for order in orders])


@pytest.mark.parametrize(
    ("sampling", "shares"),
    [
        (SAMPLINGS["balanced"](), (1 / 3, 1 / 3, 1 / 3)),
        # 30 : sqrt(90) : sqrt(10)
        (SAMPLINGS["balanced"](power=0.5), (0.7034, 0.2224, 0.0742)),  # type: ignore[call-arg]
        (SAMPLINGS["balanced"](power=0.0), (0.9, 0.09, 0.01)),  # type: ignore[call-arg]
        # Factors 1, 1 and sqrt(4): 900, 90 and 20 of 1,010.
        (SAMPLINGS["repeat_factor"](threshold=0.04), (0.8911, 0.0891, 0.0198)),  # type: ignore[call-arg]
        (SAMPLINGS["repeat_factor"](), (0.9, 0.09, 0.01)),
    ],
)
def test_classes_have_their_shares_of_every_epoch(sampling: Sampling, shares: tuple[float, ...]) -> None:
    counts = drawn(sampling, epochs=20)
    assert (counts.sum(dim=1) == 1000).all()
    for epoch in counts:
        per_class = torch.zeros(3, dtype=torch.int64).index_add(0, LABELS, epoch)
        assert (per_class / 1000).tolist() == pytest.approx(shares, abs=0.002)


def test_an_image_comes_as_often_as_its_weight_says_rounded_up_or_down() -> None:
    counts = drawn(SAMPLINGS["balanced"](), epochs=200)
    for images, times in ((LABELS == 0, 1000 / 3 / 900), (LABELS == 1, 1000 / 3 / 90), (LABELS == 2, 1000 / 3 / 10)):
        assert set(counts[:, images].unique().tolist()) == {int(times), int(times) + 1}
        assert float(counts[:, images].double().mean()) == pytest.approx(times, rel=0.01)
        # Each of them, not only all together.
        assert counts[:, images].double().mean(dim=0).tolist() == pytest.approx([times] * int(images.sum()), abs=0.16)


def test_frequencies_are_those_of_torch() -> None:
    weights = SAMPLINGS["balanced"](power=0.5).weights(of_labels(LABELS))  # type: ignore[call-arg]
    sampler = torch.utils.data.WeightedRandomSampler(
        weights.tolist(), 200_000, generator=torch.Generator().manual_seed(0)
    )
    theirs = LABELS[list(sampler)].bincount() / 200_000
    ours = (drawn(SAMPLINGS["balanced"](power=0.5), 200) @ torch.eye(3, dtype=torch.int64)[LABELS]).sum(0) / 200_000  # type: ignore[call-arg]
    assert ours.tolist() == pytest.approx(theirs.tolist(), abs=0.004)


def test_the_rarest_class_of_an_image_counts() -> None:
    # Image 0 has classes 0 and 1, image 1 class 0, image 2 none, image 3 class 0.
    found = Occurrences(4, torch.tensor([0, 0, 1, 3]), torch.tensor([0, 1, 0, 0]))
    assert found.shares.tolist() == [0.75, 0.25]
    assert SAMPLINGS["balanced"]().weights(found).tolist() == pytest.approx([4, 4 / 3, 1, 4 / 3])
    factors = SAMPLINGS["repeat_factor"](threshold=0.5).weights(found)  # type: ignore[call-arg]
    assert factors.tolist() == pytest.approx([2**0.5, 1, 1, 1])


def test_a_class_without_an_image_does_not_matter() -> None:
    found = of_labels(torch.tensor([0, 0, 3]))
    assert SAMPLINGS["balanced"]().weights(found).tolist() == pytest.approx([1.5, 1.5, 3])
    said = SAMPLINGS["balanced"]().described(found, ("a", "b", "c", "d"))
    assert (
        said == "sampling: an epoch has an image 0.75 to 1.5 times; the rarest class, 'd', is in 33.33% of the images"
    )


def test_images_without_any_class_come_once() -> None:
    none = torch.arange(0)
    said = SAMPLINGS["balanced"]().described(Occurrences(3, none, none), ("a",))
    assert said == "sampling: no image has an object, so an epoch has each of them once"


@given(st.integers(1, 50), st.integers(0, 5), st.integers(0, 5))
def test_equal_weights_give_every_image_once(count: int, seed: int, epoch: int) -> None:
    order = epoch_order(count, seed, epoch, torch.full((count,), 0.3, dtype=torch.float64))
    assert sorted(order.tolist()) == list(range(count))


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=60), st.integers(0, 3))
def test_every_order_is_complete(weights: list[float], epoch: int) -> None:
    drawn_order = epoch_order(len(weights), 0, epoch, torch.tensor(weights, dtype=torch.float64))
    assert len(drawn_order) == len(weights)
    expected = [len(weights) * weight / sum(weights) for weight in weights]
    for image, count in Counter(drawn_order.tolist()).items():
        assert expected[image] - 1.001 < count < expected[image] + 1.001


def test_without_weights_an_epoch_has_the_order_that_it_always_had() -> None:
    assert torch.equal(epoch_order(10, 3, 2), torch.randperm(10, generator=generator("order", 3, 2)))


def test_epochs_and_seeds_draw_anew_and_the_same_again() -> None:
    weights = SAMPLINGS["balanced"]().weights(of_labels(LABELS))
    order = epoch_order(1000, 0, 0, weights)
    assert torch.equal(order, epoch_order(1000, 0, 0, weights))
    assert not torch.equal(order, epoch_order(1000, 0, 1, weights))
    assert not torch.equal(order, epoch_order(1000, 1, 0, weights))
    # The order is shuffled: images that come several times are not side by side.
    assert (order[1:] == order[:-1]).sum() < 30


def test_repeats_are_counted_in_their_order() -> None:
    assert repeats(torch.tensor([4, 1, 4, 4, 0, 1])).tolist() == [0, 0, 1, 2, 0, 1]
    assert repeats(torch.arange(0)).tolist() == []


@pytest.mark.parametrize("power", [-0.1, 1.5, float("nan")])
def test_a_power_that_would_favour_classes_is_refused(power: float) -> None:
    with pytest.raises(ArgumentError, match="power must be"):
        SAMPLINGS["balanced"](power=power)  # type: ignore[call-arg]


def numbered() -> ArrayImages:
    """Images 0 to 199, of which the last 20 are of class 1."""
    pixels = torch.arange(200, dtype=torch.uint8)[:, None, None, None].expand(200, 3, 2, 2)
    return ArrayImages(pixels, (torch.arange(200) >= 180).long(), ("usual", "rare"))


def numbers(images: Tensor) -> list[int]:
    return (images[:, 0, 0, 0] * 255).round().int().tolist()


def test_a_loader_gives_the_same_draw_to_ranks_and_from_the_middle() -> None:
    data = numbered()
    options = {"shuffle": True, "weights": SAMPLINGS["balanced"]().weights(of_labels(data.labels)), "seed": 4}
    alone, entered = (Loader(data, 32, **options) for _ in range(2))  # type: ignore[arg-type]
    ranks = [Loader(data, 32, rank=rank, world=2, **options) for rank in range(2)]  # type: ignore[arg-type]
    for loader in (alone, *ranks):
        loader.set_epoch(3)
    entered.set_epoch(3, 4)
    whole = list(alone)
    assert sum(int((labels == 1).sum()) for _, labels in whole) in (99, 100, 101)
    for (images, labels), *parts in zip(whole, *ranks, strict=True):
        for rank, (own, own_labels) in enumerate(parts):
            assert torch.equal(own, images[rank::2])
            assert torch.equal(own_labels, labels[rank::2])
    assert [numbers(images) for images, _ in entered] == [numbers(images) for images, _ in whole[4:]]

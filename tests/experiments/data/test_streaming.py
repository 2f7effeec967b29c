"""Streams: every example once an epoch, over all processes, and resumed where they were."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.commands.command import UserError
from experiments.data import load, read_once, stream
from experiments.data.crops import middle_crop, random_crop
from experiments.data.split import Layout, Split


def numbered(n, shape=(2, 3, 1)):
    """A split whose labels are the numbers of its examples."""
    layout = Layout("numbered", Path("folder"), "image", "label", shape, is_mask=False)
    fill = [np.full(shape, number % 251, np.uint8) for number in range(n)]
    return Split([{"image": fill[number], "label": number} for number in range(n)], layout)


def labels_of(batches, count):
    return np.concatenate([next(batches)[1] for _ in range(count)])


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("n", [1, 11, 48])
def test_every_example_once_an_epoch_over_all_processes(n, processes):
    """The same stream for any number of processes: 8 images a step in all."""
    options = {"batch_size": 8 // processes, "seed": 4, "process_count": processes, "threads": 2}
    streams = [stream(numbered(n), process_index=p, **options) for p in range(processes)]
    count = -(-3 * n // 8)
    steps = [np.concatenate([next(each)[1] for each in streams]) for _ in range(count)]
    epochs = np.concatenate(steps)[: 3 * n].reshape(3, n)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(n), (3, 1)))
    if n > 1:
        assert not np.array_equal(epochs[0], epochs[1])
        assert not np.array_equal(epochs[0], np.arange(n))
    alone = stream(numbered(n), batch_size=8, seed=4, threads=1)
    np.testing.assert_array_equal(labels_of(alone, count), np.concatenate(steps))


def test_batches_have_bytes_and_labels_and_other_seeds_other_orders():
    images, labels = next(stream(numbered(20), batch_size=6, seed=0))
    assert images.shape == (6, 2, 3, 1) and images.dtype == np.uint8
    assert labels.shape == (6,) and labels.dtype == np.int32
    np.testing.assert_array_equal(images[:, 1, 2, 0], labels)
    other = next(stream(numbered(20), batch_size=6, seed=1))[1]
    assert not np.array_equal(labels, other)


def test_resumes_in_the_middle_of_an_epoch():
    data = load("mock:imagenette").train
    options = {"batch_size": 7, "seed": 3, "image_size": 12, "threads": 2}
    batches = stream(data, **options)
    for _ in range(5):
        next(batches)
    state = json.loads(json.dumps(batches.get_state()))
    assert state == {"next_index": 5}
    expected = [next(batches) for _ in range(12)]  # over the border of an epoch of 96
    again = stream(data, **options)
    next(again)
    again.set_state(state)
    for batch in expected:
        images, labels = next(again)
        np.testing.assert_array_equal(images, batch[0])
        np.testing.assert_array_equal(labels, batch[1])
    assert again.get_state() == batches.get_state()


def test_crops_differ_from_epoch_to_epoch():
    layout = Layout("one", Path("folder"), "image", "label", (None, None, 3), is_mask=False)
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    split = Split([{"image": image, "label": 0}], layout)
    images, _ = next(stream(split, batch_size=4, seed=0, image_size=(9, 8)))
    assert images.shape == (4, 9, 8, 3)
    assert len({each.tobytes() for each in images}) == 4


@pytest.mark.parametrize("crop", ["random", "middle"])
def test_masks_are_cut_with_their_images(rng, crop):
    """A mask made of the image by a threshold still is, and no new class appears."""
    rows, columns = np.indices((60, 80))
    inside = (rows - 25) ** 2 + (columns - 50) ** 2 < 400
    image = Image.fromarray(np.repeat((200 * inside[..., None]).astype(np.uint8), 3, axis=-1))
    mask = Image.fromarray(np.where(inside, 7, 2).astype(np.uint8))
    sides = set()
    for _ in range(20):
        if crop == "random":
            part, classes = random_crop(image, mask, (40, 32), rng)
        else:
            part, classes = middle_crop(image, mask, (40, 32))
        part, classes = np.asarray(part)[..., 0], np.asarray(classes)
        assert part.shape == classes.shape == (40, 32) and set(np.unique(classes)) <= {2, 7}
        assert np.mean((part > 100) == (classes == 7)) > 0.97
        sides.add(part[:, :16].sum() > part[:, 16:].sum())
    assert len(sides) == (2 if crop == "random" else 1)


@pytest.mark.parametrize("size", [(1, 1), (300, 2), (2, 300), (5, 7)])
def test_any_image_gives_a_crop(rng, size):
    image = Image.fromarray(rng.integers(0, 256, (*size, 3)).astype(np.uint8))
    assert random_crop(image, None, (6, 4), rng)[0].size == (4, 6)
    assert middle_crop(image, None, (6, 4))[0].size == (4, 6)


def test_middle_crop_is_the_middle():
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    part = np.asarray(middle_crop(image, None, (7, 7))[0])
    whole = np.asarray(image).astype(float)
    # pixels of width 1, half a pixel off: the mean of four
    means = (whole[:-1, :-1] + whole[1:, :-1] + whole[:-1, 1:] + whole[1:, 1:]) / 4
    np.testing.assert_allclose(part, means, atol=1)


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("n", [1, 12, 17])
def test_read_once(n, processes):
    parts = [
        list(read_once(numbered(n), batch_size=2, process_index=p, process_count=processes))
        for p in range(processes)
    ]
    assert len({len(part) for part in parts}) == 1 and len(parts[0]) == -(-n // (2 * processes))
    seen = [batch for step in zip(*parts, strict=True) for batch in step]
    labels = np.concatenate([labels[valid] for _, labels, valid in seen])
    np.testing.assert_array_equal(labels, np.arange(n))
    for images, labels, valid in seen:
        assert images.shape == (2, 2, 3, 1) and images.dtype == np.uint8
        assert labels.dtype == np.int32 and valid.dtype == bool
        assert not images[~valid].any() and not labels[~valid].any()


def test_masks_are_streamed():
    data = load("mock:oxford_iiit_pet")
    images, masks = next(stream(data.train, batch_size=3, seed=0, image_size=16))
    assert images.shape == (3, 16, 16, 3)
    assert masks.shape == (3, 16, 16) and masks.dtype == np.uint8 and masks.max() == 2
    images, masks, valid = next(read_once(data.test, batch_size=3, image_size=16))
    assert masks.shape == (3, 16, 16) and valid.all()


def test_damaged_files_are_told_from_the_threads():
    split = numbered(4)
    split._examples[2]["image"] = b"no image"
    with pytest.raises(UserError, match=r"folder is damaged .*delete"):
        labels_of(stream(split, batch_size=4, seed=0, threads=2), 1)
    with pytest.raises(UserError, match=r"folder is damaged .*delete"):
        list(read_once(split, batch_size=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, r"--batch-size \(=0\) must be 1 or more"),
        ({"threads": 0}, r"--threads \(=0\) must be 1 or more"),
        ({"seed": -1}, r"--seed \(=-1\) must be 0 or more"),
        ({"process_index": 2, "process_count": 2}, r"--process-index \(=2\) must be 0 to 1"),
        ({"image_size": 0}, r"--image-size \(=0\) must be 1 or more"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(UserError, match=message):
        stream(numbered(4), **{"batch_size": 2, "seed": 0, **options})


def test_sizes_that_vary_signals_and_nothing():
    with pytest.raises(UserError, match=r"--image-size \(=None\) must be given: the images of "):
        stream(load("mock:imagenette").train, batch_size=2, seed=0)
    with pytest.raises(UserError, match="--image-size .* does not go with signals"):
        stream(numbered(4, (5, 1)), batch_size=2, seed=0, image_size=3)
    with pytest.raises(UserError, match="numbered: there is nothing to read"):
        stream(numbered(0), batch_size=2, seed=0)

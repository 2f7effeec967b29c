"""A stock data set as TFDS would have prepared it: JPEG files of any size, masks, array_record."""

import io

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from experiments.data import load, read_once, stream

COUNTS = {"train": 9, "test": 4}


def encode(pixels, kind):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=kind, quality=95)
    file.seek(0)
    return file


def pet(split, number):
    """A bright rectangle, class 1, on dark ground, class 2, of any size; its outline is class 3."""
    rng = np.random.default_rng([list(COUNTS).index(split), number])
    height, width = rng.integers(40, 90, 2)
    mask = np.full((height, width), 2, np.uint8)
    mask[8:-12, 10:-6], mask[10:-14, 12:-8] = 3, 1
    image = np.where(mask == 1, 220, 30).astype(np.uint8)
    return np.repeat(image[..., None], 3, axis=-1), mask


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The data folder, written by the real builder from other pictures."""
    folder = tmp_path_factory.mktemp("stock")

    def examples(split):
        for number in range(COUNTS[split]):
            image, mask = pet(split, number)
            yield (
                f"{split}{number}",
                {
                    "image": encode(image, "jpeg"),
                    "label": number % 37,
                    "species": number % 2,
                    "file_name": f"{number}.jpg",
                    "segmentation_mask": encode(mask, "png"),
                    "head_bbox": tfds.features.BBox(0.0, 0.0, 0.0, 0.0),
                },
            )

    builder = tfds.builder("oxford_iiit_pet", data_dir=folder)
    builder._split_generators = lambda manager: {split: examples(split) for split in COUNTS}
    tfds.disable_progress_bar()
    builder.download_and_prepare(file_format="array_record")
    return folder


def test_images_and_masks(folder):
    data = load("oxford_iiit_pet", data_dir=folder)
    assert (data.task, data.classes) == ("segmentation", ("pet", "background", "outline"))
    assert data.image_shape == (None, None, 3) and data.train.nbytes is None and data.streamed
    assert (len(data.train), len(data.test)) == (9, 4)
    expected = {mask.tobytes(): (image, mask) for image, mask in (pet("test", n) for n in range(4))}
    for image, mask in (data.test[n] for n in range(4)):
        original, written = expected.pop((mask + 1).tobytes())
        np.testing.assert_array_equal(mask, written - 1)  # classes count from 0
        assert np.abs(image.astype(int) - original).mean() < 3  # what JPEG leaves
    assert not expected


def test_streamed(folder):
    data = load("oxford_iiit_pet", data_dir=folder)
    images, masks = next(stream(data.train, batch_size=9, seed=1, image_size=(24, 20)))
    assert images.shape == (9, 24, 20, 3) and masks.shape == (9, 24, 20)
    assert set(np.unique(masks)) == {0, 1, 2}
    assert images[masks == 0].mean() > 200 and images[masks == 1].mean() < 50
    batches = list(read_once(data.test, batch_size=3, image_size=16))
    assert [valid.sum() for _, _, valid in batches] == [3, 1]
    assert batches[0][0].shape == (3, 16, 16, 3) and batches[0][1].max() == 2

"""Small data sets as arrays."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from experiments.command import UserError
from experiments.data import load_arrays

pytestmark = pytest.mark.usefixtures("plain_jax")


class Source(list):
    """As a data source of TFDS: examples and what is known about them."""

    def __init__(self, channels, images):
        super().__init__({"image": encode(image), "label": n} for n, image in enumerate(images))
        features = {"image": SimpleNamespace(shape=(None, None, channels))}
        self.dataset_info = SimpleNamespace(features=features, name="some", data_dir="folder")


def encode(image):
    if isinstance(image, bytes):
        return image
    file = io.BytesIO()
    image.save(file, format="png")
    return file.getvalue()


def test_colour_modes_become_that_of_the_feature(rng):
    colour = Image.fromarray(rng.integers(0, 256, (4, 5, 3)).astype(np.uint8))
    grey = colour.convert("L")
    images, labels = load_arrays(Source(3, [colour, colour.convert("RGBA"), grey]))
    assert images.shape == (3, 4, 5, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(images[1], np.asarray(colour))
    np.testing.assert_array_equal(labels, [0, 1, 2])
    images, _ = load_arrays(Source(1, [grey, grey]))
    assert images.shape == (2, 4, 5, 1)


def test_several_sizes_are_refused():
    source = Source(1, [Image.new("L", (4, 5)), Image.new("L", (5, 4))])
    with pytest.raises(UserError, match="some: all images must have one size.*2 sizes"):
        load_arrays(source)


def test_broken_image_is_reported():
    with pytest.raises(UserError, match="data set in folder is damaged"):
        load_arrays(Source(1, [b"no image"]))

"""Small data sets as whole arrays on the device."""

import io
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from experiments.command import UserError
from experiments.data.source import damaged


def load_arrays(source: Sequence[dict]) -> tuple[jax.Array, jax.Array]:
    """Decodes every example and puts the whole split on the device.

    Args:
      source: examples of `from_tfds`, with an encoded "image" and an integer "label".
    Returns:
      Images `(n, height, width, channels)`, uint8, and labels `(n,)`, int32.
    Raises:
      UserError: an example cannot be read, or the images are not all of one size.
    """
    info = source.dataset_info
    mode = "L" if info.features["image"].shape[-1] == 1 else "RGB"
    images, labels = [], []
    try:
        for example in source:
            images.append(np.asarray(Image.open(io.BytesIO(example["image"])).convert(mode)))
            labels.append(example["label"])
    except Exception as error:  # array_record, protobuf and Pillow each have their own
        raise damaged(Path(info.data_dir), error) from error
    sizes = {image.shape for image in images}
    if len(sizes) != 1:
        raise UserError(
            f"{info.name}: all images must have one size to be held as one array; received "
            f"{len(sizes)} sizes, among them {sorted(sizes)[:3]}"
        )
    array = np.stack(images)
    return jnp.asarray(array.reshape(*array.shape[:3], -1)), jnp.asarray(labels, jnp.int32)

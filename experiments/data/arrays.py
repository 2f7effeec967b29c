"""Small data sets as whole arrays on the device."""

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp

from experiments.data.split import Layout, Split


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
    shape = tuple(info.features["image"].shape)
    layout = Layout(info.name, Path(info.data_dir), "image", "label", shape, is_mask=False)
    images, labels = Split(source, layout).arrays()
    return jnp.asarray(images), jnp.asarray(labels)

"""Data sets, all of them through tensorflow-datasets (TFDS) and none of them with TensorFlow."""

from experiments.data.arrays import load_arrays
from experiments.data.source import from_tfds

__all__ = ["from_tfds", "load_arrays"]

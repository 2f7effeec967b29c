"""Data sets, all of them through tensorflow-datasets (TFDS) and none of them with TensorFlow."""

from experiments.data.named import load
from experiments.data.source import DATA_DIR
from experiments.data.split import Dataset, Split
from experiments.data.streaming import read_once, stream

__all__ = ["DATA_DIR", "Dataset", "Split", "load", "read_once", "stream"]

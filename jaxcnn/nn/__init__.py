"""Flax modules: parameters and one call into `jaxcnn.functional` each."""

from jaxcnn.nn.conv import Conv

__all__ = ["Conv"]

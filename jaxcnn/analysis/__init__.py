"""What a network does before it runs: the sizes of its outputs."""

from jaxcnn.analysis.sizes import output_shape

__all__ = ["output_shape"]

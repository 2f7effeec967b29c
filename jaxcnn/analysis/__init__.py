"""What a network does, worked out before it is trained: sizes, fields, matrices, costs."""

from jaxcnn.analysis.matrix import conv_matrix
from jaxcnn.analysis.sizes import output_shape

__all__ = ["conv_matrix", "output_shape"]

"""What a network does, worked out before it is trained: sizes, fields, matrices, costs."""

from jaxcnn.analysis.field import Field, receptive_field
from jaxcnn.analysis.matrix import conv_matrix
from jaxcnn.analysis.sizes import output_shape
from jaxcnn.analysis.summary import Summary, SummaryRow, summary

__all__ = [
    "Field",
    "Summary",
    "SummaryRow",
    "conv_matrix",
    "output_shape",
    "receptive_field",
    "summary",
]

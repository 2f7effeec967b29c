"""What a network does and why: sizes, fields, matrices, costs, and what its layers look at."""

from jaxcnn.analysis.activations import activation_histograms, feature_maps, first_kernel
from jaxcnn.analysis.attribution import heat_map, integrated_gradients, saliency, smooth_grad
from jaxcnn.analysis.cam import grad_cam, occlusion
from jaxcnn.analysis.effective import effective_field
from jaxcnn.analysis.field import receptive_field
from jaxcnn.analysis.matrix import conv_matrix
from jaxcnn.analysis.rectified import deconvnet, guided_backpropagation
from jaxcnn.analysis.sizes import output_shape
from jaxcnn.analysis.summary import Summary, SummaryRow, summary
from jaxcnn.geometry.field import Field

__all__ = [
    "Field",
    "Summary",
    "SummaryRow",
    "activation_histograms",
    "conv_matrix",
    "deconvnet",
    "effective_field",
    "feature_maps",
    "first_kernel",
    "grad_cam",
    "guided_backpropagation",
    "heat_map",
    "integrated_gradients",
    "occlusion",
    "output_shape",
    "receptive_field",
    "saliency",
    "smooth_grad",
    "summary",
]

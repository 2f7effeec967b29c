"""Pictures: each function returns a matplotlib `Figure`, shows nothing and sets nothing globally.

Needs matplotlib, which the extra brings: ``pip install 'jaxcnn[visualize]'``.
"""

try:
    import matplotlib as _matplotlib  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "jaxcnn.visualize needs the package `matplotlib`; "
        "get it with: pip install 'jaxcnn[visualize]'",
        name="matplotlib",
    ) from error

from jaxcnn.visualize.attribution import (
    deconvnet,
    grad_cam,
    guided_backpropagation,
    integrated_gradients,
    occlusion,
    saliency,
    smooth_grad,
)
from jaxcnn.visualize.confusion import confusion_matrix
from jaxcnn.visualize.curves import learning_curves
from jaxcnn.visualize.field import receptive_field
from jaxcnn.visualize.history import activation_histograms, learning_rate_finder
from jaxcnn.visualize.images import image_grid, misclassified
from jaxcnn.visualize.layers import feature_maps, kernels
from jaxcnn.visualize.linear import conv_matrix, overlap_counts
from jaxcnn.visualize.routes import pool_gradient
from jaxcnn.visualize.sliding import conv_gradient, sliding_window

__all__ = [
    "activation_histograms",
    "confusion_matrix",
    "conv_gradient",
    "conv_matrix",
    "deconvnet",
    "feature_maps",
    "grad_cam",
    "guided_backpropagation",
    "image_grid",
    "integrated_gradients",
    "kernels",
    "learning_curves",
    "learning_rate_finder",
    "misclassified",
    "occlusion",
    "overlap_counts",
    "pool_gradient",
    "receptive_field",
    "saliency",
    "sliding_window",
    "smooth_grad",
]

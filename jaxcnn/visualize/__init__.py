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

from jaxcnn.visualize.confusion import confusion_matrix
from jaxcnn.visualize.curves import learning_curves
from jaxcnn.visualize.field import receptive_field
from jaxcnn.visualize.images import image_grid
from jaxcnn.visualize.linear import conv_matrix, overlap_counts
from jaxcnn.visualize.routes import pool_gradient
from jaxcnn.visualize.sliding import conv_gradient, sliding_window

__all__ = [
    "confusion_matrix",
    "conv_gradient",
    "conv_matrix",
    "image_grid",
    "learning_curves",
    "overlap_counts",
    "pool_gradient",
    "receptive_field",
    "sliding_window",
]

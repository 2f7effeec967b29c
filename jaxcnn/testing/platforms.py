"""A GPU's and a TPU's forms of every computation, on whatever device there is."""

import contextlib
from collections.abc import Iterator

from jaxcnn.lowering.by_platform import forms_of
from jaxcnn.lowering.per_platform import PLATFORMS


@contextlib.contextmanager
def as_on(platform: str | None) -> Iterator[None]:
    """Computes within as `platform` would: by its algorithms, on the device that there is.

    What `jaxcnn` does on a GPU or a TPU is ordinary `jax.lax`, and so can be held against the
    reference on a CPU. A compiled function that is called within is traced anew.

    >>> import numpy as np
    >>> from jaxcnn import functional
    >>> x, k = np.ones((1, 4, 4, 1), np.float32), np.ones((3, 3, 1, 1), np.float32)
    >>> here = functional.conv(x, k, input_dilation=2)
    >>> with as_on("cuda"):
    ...     there = functional.conv(x, k, input_dilation=2)
    >>> bool((here == there).all())
    True

    Args:
      platform: "cpu", "cuda", "rocm" or "tpu"; None for that of the device that there is.

    Returns:
      A context manager.

    Raises:
      ValueError: it is none of these.
    """
    if platform not in (None, *PLATFORMS):
        raise ValueError(
            f"as_on: `platform` (={platform!r}) must be one of {', '.join(map(repr, PLATFORMS))}"
        )
    with forms_of(platform):
        yield

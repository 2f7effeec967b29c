"""U-Net: an encoder, a decoder, and a bridge between the two at every size."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import geometry, nn
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._modules.remat import rematerialized
from jaxcnn.models import _network
from jaxcnn.nn.residual import HE_INIT


@named_module
class UNet(nnx.Module):
    """Segments images: one logit per class and pixel.

    Every stage is two convolutions of 3x3 taps, each with a ReLU. On the way down a max pool halves
    the sizes after each stage; on the way up they are doubled, the maps of the same size from the
    way down are put beside the new ones, and another stage follows.

    With padding "SAME" the logits have the sizes of the images, whatever these are: pools round up
    and the decoder drops the row or the column too many. With "VALID", the paper's, every logit
    sees real pixels alone: 572x572 images give 388x388, and maps from the way down are cropped at
    their centre; 188 pixels along each axis are the least.

    Parameters with the paper's one input channel and two classes: 31,030,658.

    Args:
      num_classes: logits per pixel.
      in_features: channels of the images.
      widths: channels of the stages, from the largest maps to the smallest.
      padding: "SAME" or "VALID", of the convolutions.
      upsampling: "transposed", a transposed convolution of 2x2 taps as in the paper, or "resize",
        copied pixels under a convolution of 3x3, which starts without a checkerboard.
      norm: makes a normalisation after each convolution, as in `nn.ConvBlock`; None as in the
        paper.
      dropout: share of activations of the smallest maps set to 0 in training, drawn from the stream
        "dropout".
      remat: whether the backward pass computes the inner values of each stage anew.
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      features: from images to `(*batch, h, w, widths[0])`.
      classifier: from there to logits, a convolution of one tap.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import UNet
      >>> images = jax.ShapeDtypeStruct((8, 572, 572, 3), jnp.float32)
      >>> for padding in ("SAME", "VALID"):
      ...     model = nnx.eval_shape(lambda: UNet(2, padding=padding, rngs=nnx.Rngs(0)))
      ...     print(nnx.eval_shape(lambda model, x: model(x), model, images).shape)
      (8, 572, 572, 2)
      (8, 388, 388, 2)

    References:
      O. Ronneberger, P. Fischer and T. Brox, U-Net: convolutional networks for biomedical image
      segmentation, 2015.
    """

    def __init__(
        self,
        num_classes: int = 2,
        *,
        in_features: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        padding: str = "SAME",
        upsampling: str = "transposed",
        norm: Callable[..., Any] | None = None,
        dropout: float = 0.0,
        remat: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options = _network.options(rngs, dtype, param_dtype)
        self.num_classes = _network.classes(num_classes)
        self.in_features = in_features
        sizes = geometry.axes_tuple("widths", widths)
        self.padding = checks.choice("padding", padding, ("SAME", "VALID"))
        checks.choice("upsampling", upsampling, tuple(_UPSAMPLING))
        _network.fraction("dropout", dropout)
        if norm is not None:
            options["norm"] = norm
        self.features = UNetFeatures(in_features, sizes, padding, upsampling, options)
        self.features.remat = checks.flag("remat", remat)
        options.pop("norm", None)
        if dropout:
            self.features.dropout = _network.dropout(dropout, rngs)
        self.classifier = nn.Conv(sizes[0], self.num_classes, (1, 1), **options)

    def __call__(
        self, inputs: Num[Array, "*batch height width in_features"]
    ) -> Inexact[Array, "*batch out_height out_width num_classes"]:
        """Gives logits `(*batch, h, w, num_classes)` for images `(*batch, h, w, in_features)`."""
        inputs = self._image(inputs)
        return self.classifier(self.features(inputs))

    def feature_maps(
        self, inputs: Num[Array, "*batch height width in_features"]
    ) -> dict[str, Array]:
        """What every stage gives, "down1" to "downN" and "upN-1" to "up1", in order."""
        return self.features.outputs(self._image(inputs))

    def _image(self, inputs: Any) -> Array:
        """The images, if something of them is left at the end."""
        images = _network.image(inputs, (-1, -1, self.in_features))
        smallest = 1
        if self.padding == "VALID":  # each stage takes four pixels away
            for _ in self.features.widths[1:]:
                smallest = (smallest + 5) // 2
            smallest += 4
            for _ in self.features.widths[1:]:
                smallest = 2 * smallest + 4
        if any(geometry.surely_below(size, smallest) for size in images.shape[-3:-1]):
            raise ValueError(
                f"`inputs` must have {smallest} pixels or more along each axis under padding "
                f"{self.padding!r}; received inputs {images.shape}"
            )
        return images


@named_module
class UNetFeatures(nnx.Module):
    """Both ways and the bridges."""

    remat = False
    dropout: nnx.Dropout | None = None

    def __init__(
        self,
        in_features: int,
        widths: tuple[int, ...],
        padding: str,
        upsampling: str,
        options: dict[str, Any],
    ):
        self.widths, self.padding = widths, padding
        self.pool = nn.MaxPool((2, 2), strides=2, padding=padding)
        inside = in_features
        for level, width in enumerate(widths, 1):
            setattr(self, f"down{level}", _stage(inside, width, padding, options))
            inside = width
        plain = {name: value for name, value in options.items() if name != "norm"}
        for level in range(len(widths) - 1, 0, -1):
            width = widths[level - 1]
            setattr(self, f"double{level}", _UPSAMPLING[upsampling](inside, width, plain))
            setattr(self, f"up{level}", _stage(2 * width, width, padding, options))
            inside = width

    def __call__(self, inputs: Array) -> Array:
        """What the last stage gives."""
        return self.outputs(inputs)["up1" if len(self.widths) > 1 else "down1"]

    def outputs(self, inputs: Array) -> dict[str, Array]:
        """What every stage gives, by name, in order."""
        results: dict[str, Array] = {}
        for level in range(1, len(self.widths) + 1):
            if level > 1:
                inputs = self.pool(inputs)
            name = f"down{level}"
            results[name] = inputs = self._apply(name, inputs)
        if self.dropout is not None:
            inputs = self.dropout(inputs)
        for level in range(len(self.widths) - 1, 0, -1):
            skipped = results[f"down{level}"]
            inputs = getattr(self, f"double{level}")(inputs)
            if self.padding == "SAME":  # the pool rounded up, so that a pixel may be too many
                inputs = inputs[..., : skipped.shape[-3], : skipped.shape[-2], :]
            else:
                skipped = _centre(skipped, inputs.shape[-3:-1])
            name = f"up{level}"
            both = jnp.concatenate([skipped, inputs], axis=-1)
            results[name] = inputs = self._apply(name, both)
        return results

    def _apply(self, name: str, inputs: Array) -> Array:
        """One stage, its inner values computed anew if asked for."""
        stage = getattr(self, name)
        return rematerialized(stage, inputs) if self.remat else stage(inputs)


def _stage(inside: int, width: int, padding: str, options: dict[str, Any]) -> nn.Chain:
    """Two convolutions."""
    common: dict[str, Any] = {"norm": None, **options, "padding": padding}
    common["kernel_init"] = HE_INIT
    return nn.Chain(
        conv1=nn.ConvBlock(inside, width, (3, 3), **common),
        conv2=nn.ConvBlock(width, width, (3, 3), **common),
    )


def _centre(maps: Array, sizes: tuple[int, ...]) -> Array:
    """The middle of `maps`, as large as `sizes`."""
    low = [(n - m) // 2 for n, m in zip(maps.shape[-3:-1], sizes, strict=True)]
    rows, columns = (slice(a, a + size) for a, size in zip(low, sizes, strict=True))
    return maps[..., rows, columns, :]


def _transposed(inside: int, width: int, options: dict[str, Any]) -> nnx.Module:
    return nn.ConvTranspose(inside, width, (2, 2), strides=2, **options)


def _resized(inside: int, width: int, options: dict[str, Any]) -> nnx.Module:
    return nn.ResizeConv(inside, width, (3, 3), scale=2, **options)


_UPSAMPLING = {"transposed": _transposed, "resize": _resized}

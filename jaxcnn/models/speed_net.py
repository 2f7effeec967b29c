"""A network for CIFAR that learns fast: whitened patches, then three wide blocks."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from flax.nnx.nn import dtypes
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, Inexact, Num

from jaxcnn import functional, geometry, nn
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named, named_module
from jaxcnn._modules import initial
from jaxcnn.models import _network

PATCH = (2, 2)


@named
def whitening_kernel(
    images: Num[ArrayLike, "n height width channels"],
    kernel_size: Sequence[int] = PATCH,
    *,
    epsilon: float = 5e-4,
) -> Float[Array, "*kernel_size channels out_features"]:
    """The kernel whose responses to the patches of `images` are uncorrelated, of variance one.

        kernel[..., k] = v_k / sqrt(lambda_k + epsilon)         for the eigenvectors v_k and
        kernel[..., f + k] = -kernel[..., k]                    eigenvalues of the f x f covariance

    of all patches, f = prod(kernel_size) * channels, the largest eigenvalue first. The negatives
    keep under a ReLU or GELU what it would cut away.

    Args:
      images: `(n, height, width, channels)`, as the network sees them: a few thousand suffice.
      kernel_size: taps per spatial axis.
      epsilon: added to the eigenvalues, which keeps small ones from being blown up.
    Returns:
      `(*kernel_size, channels, 2 * f)`, in the dtype of the images.
    Raises:
      ValueError: images of the wrong shape.

    Example:
      >>> import jax
      >>> from jaxcnn.models import whitening_kernel
      >>> images = jax.random.normal(jax.random.key(0), (100, 32, 32, 3))
      >>> whitening_kernel(images).shape
      (2, 2, 3, 24)

    References:
      D. Page, How to train your ResNet, 2019; K. Jordan, 94% on CIFAR-10 in 3.29 seconds on a
      single GPU, 2024.
    """
    size = geometry.axes_tuple("kernel_size", kernel_size)
    array = checks.array("images", images)
    if array.ndim != len(size) + 2 or not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(
            f"`images` must be floats (n, *spatial, channels) with {len(size)} spatial "
            f"axes; received images {array.shape} of {array.dtype}"
        )
    return _whitening_kernel(array, size, epsilon)


@functools.partial(jax.jit, static_argnums=1)
def _whitening_kernel(images: Array, size: tuple[int, ...], epsilon: ArrayLike) -> Array:
    """What `whitening_kernel` gives, as one program."""
    patches = functional.unfold(images, size)
    values = patches.reshape(-1, int(np.prod(patches.shape[-len(size) - 1 :])))
    values = values.astype(jnp.promote_types(images.dtype, jnp.float32))
    centred = values - values.mean(0, keepdims=True)
    covariance = jnp.matmul(centred.T, centred, precision="highest") / len(values)
    scales, vectors = jnp.linalg.eigh(covariance)
    kernel = vectors[:, ::-1] / jnp.sqrt(scales[::-1] + epsilon)[None]
    both = jnp.concatenate([kernel, -kernel], axis=1).astype(images.dtype)
    return both.reshape(*size, images.shape[-1], -1)


@named_module
class Whitening(nnx.Module):
    """A convolution whose kernel is set from data and not learnt; its bias, set too, is learnt.

    Args:
      in_features: channels of the images.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of kernel and bias.
      rngs: draws the kernel that stands until `CifarSpeedNet.whiten` is called.
    Attributes:
      kernel: `(2, 2, in_features, 8 * in_features)`, an `nnx.Variable`, which no optimiser of
        parameters touches.
      bias: `(8 * in_features,)`.
    """

    def __init__(
        self,
        in_features: int,
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        layer = nn.Conv(in_features, 8 * in_features, PATCH, param_dtype=param_dtype, rngs=rngs)
        self.kernel = nnx.Variable(layer.kernel[...])
        self.bias = nnx.Param(jnp.zeros((8 * in_features,), param_dtype))
        self.dtype = dtype

    def __call__(
        self, inputs: Num[Array, "*batch height width in_features"]
    ) -> Inexact[Array, "*batch out_height out_width out_features"]:
        """Convolves without padding, in the dtype asked for or else that of the inputs."""
        inputs, kernel, bias = dtypes.promote_dtype(
            (inputs, self.kernel[...], self.bias[...]), dtype=self.dtype
        )
        return functional.conv(inputs, kernel, bias, padding="VALID")


@named_module
class CifarSpeedNet(_network.Classifier):
    """Whitening, three blocks, one fully connected layer whose outputs are scaled.

    Each block is convolution, max pool of 2x2, batch normalisation, GELU, then convolution, batch
    normalisation, GELU: pooling first saves the normalisation three quarters of its work.
    Convolutions of 3x3 start as the identity on their first channels; the normalisations have no
    scale and forget fast. Parameters with the default widths: 1,971,352 that are learnt, and the
    288 of the whitening kernel, which `whiten` sets from the training images.

    Args:
      num_classes: number of outputs.
      in_features: channels of the images.
      widths: channels of the three blocks.
      logit_scale: factor of the outputs.
      remat: whether the backward pass computes the inner values of each block anew.
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      features: "whitening", "gelu", "block1" to "block3".
      classifier: the maximum over all pixels, one fully connected layer without a bias, the scale.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax
      >>> from flax import nnx
      >>> from jaxcnn.models import CifarSpeedNet
      >>> images = jax.random.normal(jax.random.key(0), (100, 32, 32, 3))
      >>> model = CifarSpeedNet(widths=(24, 24, 24), rngs=nnx.Rngs(0))
      >>> model.whiten(images)
      >>> maps = nnx.eval_shape(lambda model: model.feature_maps(images), model)
      >>> [maps[name].shape[1:] for name in ("whitening", "block1", "block2", "block3")]
      [(31, 31, 24), (15, 15, 24), (7, 7, 24), (3, 3, 24)]
      >>> nnx.eval_shape(lambda model: model(images), model).shape
      (100, 10)

    References:
      K. Jordan, 94% on CIFAR-10 in 3.29 seconds on a single GPU, 2024.
    """

    def __init__(
        self,
        num_classes: int = 10,
        *,
        in_features: int = 3,
        widths: Sequence[int] = (64, 256, 256),
        logit_scale: float = 1 / 9,
        remat: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options = _network.options(rngs, dtype, param_dtype)
        self.num_classes = _network.classes(num_classes)
        self.in_features = geometry.whole_number("in_features", in_features, 1)
        sizes = geometry.axes_tuple("widths", widths)
        if len(sizes) != 3:
            raise ValueError(f"`widths` (={sizes}) must have three entries")
        if isinstance(logit_scale, bool) or not isinstance(logit_scale, (int, float)):
            raise TypeError(f"`logit_scale` (={logit_scale!r}) must be a number")
        layers: dict[str, Any] = {
            "whitening": Whitening(in_features, **options),
            "gelu": nn.Activation("gelu"),
        }
        inside = 8 * in_features
        for index, width in enumerate(sizes, 1):
            layers[f"block{index}"] = _block(inside, width, options)
            inside = width
        self.features = nn.Chain(**layers)
        self.features.remat = checks.flag("remat", remat)
        self.classifier = nn.Chain(
            pool=nn.GlobalMaxPool(spatial_axes=(-3, -2)),
            fc=_network.linear(
                inside,
                self.num_classes,
                use_bias=False,
                kernel_init=initial.normal(1.0),
                **options,
            ),
            scale=Scale(float(logit_scale)),
        )

    def whiten(self, images: Num[ArrayLike, "n height width channels"]) -> None:
        """Sets the first layer so that its responses to some training images are uncorrelated.

        The kernel is that of `whitening_kernel`, the bias makes their means 0. Of images whose own
        mean is far from 0 a channel and its negative would else lie far out on the GELU's two
        arms, one of them as good as constant, and the next normalisation would blow that up.
        """
        layer: Any = self.features.whitening  # type: ignore[attr-defined]
        kernel = whitening_kernel(images)
        mean = jnp.asarray(images).mean(0, keepdims=True)
        responses = functional.conv(mean, kernel, padding="VALID")
        layer.kernel[...] = kernel.astype(layer.kernel[...].dtype)
        layer.bias[...] = -responses.mean((0, 1, 2)).astype(layer.bias[...].dtype)

    def feature_maps(
        self, inputs: Num[Array, "*batch height width in_features"]
    ) -> dict[str, Array]:
        """What the whitening, after its GELU, and every block give, by name, in order."""
        maps = super().feature_maps(inputs)
        return {"whitening": maps.pop("gelu"), **{n: m for n, m in maps.items() if n[0] == "b"}}


@named_module
class Scale(nnx.Module):
    """Multiplies by a fixed number."""

    def __init__(self, factor: float):
        self.factor = factor

    def __call__(self, inputs: Inexact[Array, "*axes"]) -> Inexact[Array, "*axes"]:
        """Multiplies every element."""
        return inputs * self.factor


_NOISE = initial.variance_scaling(1 / 3, "fan_in", "uniform")


def dirac_init(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """The identity on as many channels as there are, small random weights for the others."""
    *size, inside, outside = shape
    same, kept = np.zeros(shape, dtype), np.zeros(shape, bool)
    same[tuple(taps // 2 for taps in size)] = np.eye(inside, outside)
    kept[..., :inside] = True
    return jnp.where(kept, same, _NOISE(key, shape, dtype))


def _norm(features: int, **options: Any) -> nnx.BatchNorm:
    """Batch normalisation as the network wants it: no scale, averages that forget fast."""
    return nn.batch_norm(features, use_scale=False, momentum=0.6, epsilon=1e-12, **options)


def _block(inside: int, width: int, options: dict[str, Any]) -> nn.Chain:
    """Two convolutions, a pool after the first."""
    conv: dict[str, Any] = dict(padding=1, use_bias=False, kernel_init=dirac_init, **options)
    return nn.Chain(
        conv1=nn.Conv(inside, width, (3, 3), **conv),
        pool=nn.MaxPool((2, 2), strides=2),
        norm1=_norm(width, **options),
        gelu1=nn.Activation("gelu"),
        conv2=nn.Conv(width, width, (3, 3), **conv),
        norm2=_norm(width, **options),
        gelu2=nn.Activation("gelu"),
    )

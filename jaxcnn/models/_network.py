"""What networks share: the form of a classifier of images, and checks."""

from collections.abc import Iterable
from typing import Any

from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import geometry, nn
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._modules import initial


@named_module
class Classifier(nnx.Module):
    """A network that is `features`, then `classifier`, for images of any size."""

    in_features: int
    num_classes: int
    features: nn.Chain
    classifier: nn.Chain

    def __call__(
        self, inputs: Num[Array, "*batch height width in_features"]
    ) -> Inexact[Array, "*batch num_classes"]:
        """Gives one logit per class for images `(*batch, height, width, in_features)`."""
        return self.classifier(self.features(self._images(inputs)))

    def feature_maps(
        self, inputs: Num[Array, "*batch height width in_features"]
    ) -> dict[str, Array]:
        """What every part of `features` gives, by name, in order."""
        return self.features.outputs(self._images(inputs))

    def _images(self, inputs: Any) -> Array:
        return image(inputs, (-1, -1, self.in_features))


def classes(num_classes: object) -> int:
    """Returns a number of classes, at least one."""
    return geometry.whole_number("num_classes", num_classes, 1)


def options(rngs: Any, dtype: DTypeLike | None, param_dtype: DTypeLike) -> dict[str, Any]:
    """The arguments that every layer with parameters takes, checked in the model's name."""
    checks.rngs(rngs)
    checks.dtypes(dtype, param_dtype)
    return dict(dtype=dtype, param_dtype=param_dtype, rngs=rngs)


def image(inputs: Any, shape: tuple[int, ...]) -> Array:
    """Returns the inputs as an array if their last axes are those of `shape`, -1 fitting any."""
    array = checks.array("inputs", inputs)
    last = array.shape[-len(shape) :]
    if len(last) != len(shape) or any(n not in (-1, m) for n, m in zip(shape, last, strict=True)):
        expected = ", ".join("any" if size < 0 else str(size) for size in shape)
        raise ValueError(f"`inputs` must be (*batch, {expected}); received inputs {array.shape}")
    return array


def one_of(argument: str, value: object, allowed: Iterable[int]) -> int:
    """Returns `value` if it is one of the ints `allowed`."""
    number = geometry.whole_number(argument, value)
    allowed = tuple(allowed)
    if number not in allowed:
        raise ValueError(f"`{argument}` (={number}) must be one of {', '.join(map(str, allowed))}")
    return number


def fraction(argument: str, value: object) -> float:
    """Returns a number between 0 and 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"`{argument}` (={value!r}) must be a number")
    if not 0 <= value <= 1:
        raise ValueError(f"`{argument}` (={value}) must be between 0 and 1")
    return float(value)


def linear(in_features: int, out_features: int, **options: Any) -> nnx.Linear:
    """Flax's fully connected layer, its parameters drawn without a program a shape."""
    drawn = dict(kernel_init=initial.KERNEL_INIT, bias_init=initial.BIAS_INIT)
    return nnx.Linear(in_features, out_features, **{**drawn, **options})


def layer_norm(num_features: int, **options: Any) -> nnx.LayerNorm:
    """Flax's layer normalisation, filled without a program a shape."""
    filled = dict(scale_init=initial.ones, bias_init=initial.zeros)
    return nnx.LayerNorm(num_features, **{**filled, **options})


def dropout(rate: float, rngs: nnx.Rngs, broadcast_dims: tuple[int, ...] = ()) -> nnx.Dropout:
    """A dropout that needs no stream of keys where it drops nothing."""
    if rate:
        checks.rngs(rngs, "dropout")
    return nnx.Dropout(rate, broadcast_dims=broadcast_dims, rngs=rngs if rate else None)


def table(argument: str, value: Any, columns: str) -> tuple[tuple[int, ...], ...]:
    """A tuple of rows of ints, one for each stage, all with the `columns`."""
    if not isinstance(value, (tuple, list)) or not value:
        raise TypeError(f"`{argument}` (={value!r}) must be a tuple of tuples of ints")
    rows = tuple(geometry.axes_tuple(argument, row) for row in value)
    for row in rows:
        if len(row) != len(columns.split(", ")):
            raise ValueError(f"`{argument}` must have ({columns}) in each row; received {row}")
    return rows


def stages(depths: Any, widths: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Blocks and channels of as many stages."""
    counts = geometry.axes_tuple("depths", depths)
    sizes = geometry.axes_tuple("widths", widths)
    if len(counts) != len(sizes):
        raise ValueError(
            f"`widths` (={sizes}) must have one entry for each of the {len(counts)} "
            f"stages in `depths` {counts}"
        )
    return counts, sizes

"""LeNet-5 as it was published: scaled tanh, trainable subsampling, a sparse table, fixed codes."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Inexact, Num

from jaxcnn import nn
from jaxcnn._checks.naming import named_module
from jaxcnn._modules import initial
from jaxcnn.models import _network

# Table I of the paper: which of the six maps of S2 each of the sixteen maps of C3 sees. Six see
# three neighbours, six see four, three see four that aren't neighbours, the last sees all.
C3_CONNECTIONS = (
    *((i, (i + 1) % 6, (i + 2) % 6) for i in range(6)),
    *((i, (i + 1) % 6, (i + 2) % 6, (i + 3) % 6) for i in range(6)),
    *((i, i + 1, (i + 3) % 6, (i + 4) % 6) for i in range(3)),
    tuple(range(6)),
)

# The codes of the output units: every digit drawn on 7x12 dots, by hand for this library.
GLYPHS = """
.......  .......  .......  .......  .......  .......  .......  .......  .......  .......
..###..  ...#...  ..###..  ..###..  ....#..  .#####.  ...###.  .#####.  ..###..  ..###..
.#...#.  ..##...  .#...#.  .#...#.  ...##..  .#.....  ..#....  .....#.  .#...#.  .#...#.
.#...#.  .#.#...  .....#.  .....#.  ...##..  .#.....  .#.....  ....#..  .#...#.  .#...#.
.#...#.  ...#...  .....#.  .....#.  ..#.#..  .#.....  .#.....  ....#..  .#...#.  .#...#.
.#...#.  ...#...  ....#..  ...##..  ..#.#..  .####..  .####..  ....#..  ..###..  .#...#.
.#...#.  ...#...  ....#..  .....#.  .#..#..  .....#.  .#...#.  ...#...  .#...#.  ..####.
.#...#.  ...#...  ...#...  .....#.  .#####.  .....#.  .#...#.  ...#...  .#...#.  .....#.
.#...#.  ...#...  ..#....  .....#.  ....#..  .....#.  .#...#.  ...#...  .#...#.  .....#.
.#...#.  ...#...  .#.....  .#...#.  ....#..  .#...#.  .#...#.  ..#....  .#...#.  ....#..
..###..  .#####.  .#####.  ..###..  ....#..  ..###..  ..###..  ..#....  ..###..  ..##...
.......  .......  .......  .......  .......  .......  .......  .......  .......  .......
"""


def scaled_tanh(inputs: Inexact[Array, "*axes"]) -> Inexact[Array, "*axes"]:
    """The paper's squashing function, 1.7159 tanh(2x/3), which takes 1 to 1 and -1 to -1.

    Its second derivative is largest there too, so that targets of +-1 don't saturate a unit.
    """
    return 1.7159 * jnp.tanh(inputs * (2 / 3))


def digit_codes() -> Float[np.ndarray, "84 10"]:
    """The 7x12 pictures of the digits, +1 for ink and -1 for paper, one a column."""
    rows = [line.split() for line in GLYPHS.split("\n") if line]
    dots = np.array([[list(glyph) for glyph in row] for row in rows])
    return np.where(dots.transpose(0, 2, 1).reshape(84, 10) == "#", 1.0, -1.0)


@named_module
class EuclideanRBF(nnx.Module):
    """How near the inputs lie to each of a few fixed codes: 0 at the code, negative elsewhere.

        out[n, k] = -sum over f of (x[n, f] - codes[f, k])^2

    Args:
      codes: `(features, outputs)`; kept in an `nnx.Variable`, which no optimiser of parameters
        touches.
      dtype: dtype of the computation; None takes that of the inputs.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn.models.lenet_classic import EuclideanRBF
      >>> EuclideanRBF([[1.0, -1.0], [-1.0, -1.0]])(jnp.array([1.0, -1.0]))
      Array([-0., -4.], dtype=float32)
    """

    def __init__(self, codes: Any, dtype: DTypeLike | None = None):
        self.codes = nnx.Variable(jnp.asarray(codes))
        self.dtype = dtype

    def __call__(
        self, inputs: Inexact[Array, "*batch features"]
    ) -> Inexact[Array, "*batch outputs"]:
        """Gives one negative squared distance per code for `(*batch, features)`."""
        inputs = jnp.asarray(inputs, self.dtype)
        codes = self.codes[...].astype(inputs.dtype)
        axes = (1,) * (inputs.ndim - 1)
        return -jnp.sum(jnp.square(inputs[..., None] - codes.reshape(*axes, *codes.shape)), -2)


@named_module
class LeNet5Classic(nnx.Module):
    """Reads 32x32 digits as in 1998: 60,000 trainable parameters.

        C1  convolution 5x5       28x28x6     156
        S2  subsampling 2x2       14x14x6     12
        C3  table of 60 pairs     10x10x16    1,516
        S4  subsampling 2x2       5x5x16      32
        C5  convolution 5x5       1x1x120     48,120
        F6  fully connected       84          10,164
        output  distances to ten fixed codes of 7x12 dots

    with the squashing function `scaled_tanh` after all but the last. The paper's output is the
    squared distance to each code, small for the right class. Here its negative comes out, so that
    the largest wins and softmax cross-entropy of it is the paper's discriminative criterion.

    Args:
      rngs: draws the parameters, as the paper does: evenly from -2.4/F to 2.4/F, F the fan-in.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      features: from 32x32 images to `(*batch, 5, 5, 16)`: C1 to S4.
      classifier: from there to logits: C5, F6 and the codes.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import LeNet5Classic
      >>> model = nnx.eval_shape(lambda: LeNet5Classic(rngs=nnx.Rngs(0)))
      >>> for shape in ((8, 32, 32, 1), (28, 28, 1)):
      ...     nnx.eval_shape(lambda model: model(jnp.ones(shape)), model).shape
      (8, 10)
      (10,)
      >>> model.features.c3.kernel.shape
      (5, 5, 60)

    References:
      Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document
      recognition, 1998, section II B and appendix A.
    """

    def __init__(
        self,
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options = _network.options(rngs, dtype, param_dtype)
        drawn: dict[str, Any] = dict(kernel_init=_even, **options)
        pooled: dict[str, Any] = dict(
            coefficient_init=initial.uniform(-2.4 / 4, 2.4 / 4), **options
        )
        self.num_classes = 10
        self.features = nn.Chain(
            c1=nn.Conv(1, 6, (5, 5), padding="VALID", **drawn),
            tanh1=nn.Activation(scaled_tanh),
            s2=nn.Subsampling(6, (2, 2), **pooled),
            tanh2=nn.Activation(scaled_tanh),
            c3=nn.TableConv(6, C3_CONNECTIONS, (5, 5), padding="VALID", **drawn),
            tanh3=nn.Activation(scaled_tanh),
            s4=nn.Subsampling(16, (2, 2), **pooled),
            tanh4=nn.Activation(scaled_tanh),
        )
        self.classifier = nn.Chain(
            c5=nn.Conv(16, 120, (5, 5), padding="VALID", **drawn),
            tanh5=nn.Activation(scaled_tanh),
            flatten=nn.Flatten(),
            f6=_network.linear(120, 84, **drawn),
            tanh6=nn.Activation(scaled_tanh),
            output=EuclideanRBF(digit_codes().astype(param_dtype), dtype),
        )

    def __call__(self, inputs: Num[Array, "*batch height width 1"]) -> Inexact[Array, "*batch 10"]:
        """Gives the negative squared distance to each digit's code.

        Args:
          inputs: `(*batch, 32, 32, 1)`; images of 28x28 get two zeros on each side, which suits
            digits on a background of zeros.
        """
        inputs = _network.image(inputs, (-1, -1, 1))
        if inputs.shape[-3:] == (28, 28, 1):
            inputs = jnp.pad(inputs, [(0, 0)] * (inputs.ndim - 3) + [(2, 2), (2, 2), (0, 0)])
        inputs = _network.image(inputs, (32, 32, 1))
        return self.classifier(self.features(inputs))

    def feature_maps(self, inputs: Num[Array, "*batch height width 1"]) -> dict[str, Array]:
        """What C1, S2, C3 and S4 give after their squashing function, by name, in order."""
        outputs = self.features.outputs(inputs)
        return {name: outputs[f"tanh{i}"] for i, name in enumerate(("c1", "s2", "c3", "s4"), 1)}


def _even(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Draws a kernel evenly from -2.4/F to 2.4/F, F the number of inputs of a unit."""
    bound = 2.4 / math.prod(shape[:-1])
    return initial.uniform(-bound, bound)(key, shape, dtype)

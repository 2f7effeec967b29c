"""Convolution of a dilated input as the transpose of a strided convolution.

An input dilated by r, under stride 1, is what a convolution of stride r gets as its cotangent:

    out[j] = sum over i, a of x[i] * turned[a],   j = i*r + a*d - q,
    turned[a] = kernel[k - 1 - a],                q = (k - 1)*d - p

and so out is JAX's transpose of conv(u, turned) = sum over a of u[i*r + a*d - q] * turned[a] in u.
Its own transposes are that convolution of the cotangent, to x, and the gradient of that
convolution's kernel, with the cotangent for its input and x for its cotangent.

Predicted: XLA's GPU compiler knows a gradient by its kernel, reversed, and gives it to cuDNN; what
only has the same numbers it dilates with zeros in a pass of its own. The kernel is therefore turned
behind a barrier, without which the two reversals cancel, and into the order of axes that cuDNN
takes, so that there is one pass over it. Compiled for an H100, float32, forward and backward, 128
to 64 channels on 16 images of 16x16: 4x4 with strides 2 9 kernels and 56 MB as XLA's own, 5 and 22
so; 3x3 with strides 2 9 and 70, 5 and 21. Three reads and writes of all arrays would be 20; the
rest is the kernel's order of axes. Not so with groups, for which XLA has no such form.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Num

from jaxcnn.geometry import effective_size
from jaxcnn.lowering import per_platform, xla_conv
from jaxcnn.lowering.bilinear import Bilinear
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.problem import ConvProblem, Typed, other_dtypes, sizes_unknown


def unsupported(inputs: Typed, kernel: Typed, problem: ConvProblem) -> str | None:
    """Why this algorithm can't take the problem: it isn't the transpose of one convolution."""
    windows = problem.windows
    if max(windows.input_dilation) == 1:
        return "needs an input dilation, or strides of a transposed convolution, above 1"
    if max(windows.strides) > 1:
        return f"takes strides of 1 over a dilated input, not {windows.strides}"
    return sizes_unknown(windows) or other_dtypes(inputs, problem)


def conv(
    inputs: Num[Array, "n *spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    problem: ConvProblem,
) -> Num[Array, "n *out out_features"]:
    """Cross-correlates the dilated input, which is never made."""
    return by_platform(_Adjoint(problem), inputs, kernel)[0]


@dataclasses.dataclass(frozen=True)
class _Along:
    """An axis of the output: zeros, what the strided convolution reads, and zeros."""

    before: int
    count: int
    after: int
    padding: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class _Adjoint(Bilinear):
    """The transpose of a strided convolution, of its cotangent and the kernel."""

    problem: ConvProblem

    def value(self, first: Array, second: Array) -> Array:
        along = self._along()
        shape = (first.shape[0], *(axis.count for axis in along), second.shape[-1])
        if min(shape[1:]) < 1:  # no tap meets a pixel
            shape = (first.shape[0], *self.problem.windows.output_shape, second.shape[-1])
            return jnp.zeros(shape, first.dtype)
        # In the parts of a `shard_map` a type that does not vary would be that of a sum over them.
        struct = jax.ShapeDtypeStruct(shape, first.dtype)
        (kind,) = per_platform.like([struct], map(jax.typeof, (first, second)))
        turned = self._turned(second)
        (outputs,) = jax.linear_transpose(lambda u: self._strided(u, turned), kind)(first)
        config = [(0, 0, 0), *((axis.before, axis.after, 0) for axis in along), (0, 0, 0)]
        if not any(map(any, config)):
            return outputs
        return lax.pad(outputs, jnp.zeros((), outputs.dtype), config)

    def to_first(self, second: Array, cotangent: Array, like: Any) -> Array:
        read = self._read(cotangent)
        if 0 in read.shape[1:]:
            return jnp.zeros(like.shape, like.dtype)
        return self._strided(read, self._turned(second))

    def to_second(self, first: Array, cotangent: Array, like: Any) -> Array:
        read = self._read(cotangent)
        if 0 in read.shape[1:]:
            return jnp.zeros(like.shape, like.dtype)
        return jax.linear_transpose(lambda k: self._strided(read, self._turned(k)), like)(first)[0]

    def _along(self) -> list[_Along]:
        """Each axis; on both sides of it the same padding if that is as good, as cuDNN wants."""
        windows, found = self.problem.windows, []
        for axis, e in enumerate(windows.effective_shape):
            r, size = windows.input_dilation[axis], windows.output_shape[axis]
            low = e - 1 - windows.padding[axis][0]
            before, low = max(-low, 0), max(low, 0)
            reach = effective_size(windows.sizes[axis], r) + e - 1
            count = min(size - before, reach - low)
            least = reach - low - count
            high = low if least <= low < least + r else least
            found.append(_Along(before, count, size - before - count, (low, high)))
        return found

    def _read(self, cotangent: Array) -> Array:
        """What the strided convolution reads of the output's cotangent."""
        spatial = (slice(a.before, max(a.before + a.count, 0)) for a in self._along())
        return cotangent[:, *spatial]

    def _strided(self, outputs: Array, turned: Array) -> Array:
        windows, rank = self.problem.windows, self.problem.windows.rank
        activations = (0, rank + 1, *range(1, rank + 1))
        kernel = (0, rank + 1, *range(1, rank + 1))
        return xla_conv.convolve(
            outputs,
            turned,
            windows.input_dilation,
            tuple(axis.padding for axis in self._along()),
            kernel_dilation=windows.dilation,
            numbers=lax.ConvDimensionNumbers(activations, kernel, activations),
            feature_group_count=self.problem.feature_group_count,
            precision=self.problem.precision,
        )

    def _turned(self, kernel: Array) -> Array:
        """`(*k, in/groups, out)` reversed, as `(in, *k, out/groups)`."""
        groups = self.problem.feature_group_count
        *spatial, per_group, features = kernel.shape
        rank = len(spatial)
        turned = kernel.reshape((*spatial, per_group, groups, features // groups))
        turned = lax.rev(turned, range(rank))
        turned = turned.transpose((rank + 1, rank, *range(rank), rank + 2))
        turned = turned.reshape((groups * per_group, *spatial, features // groups))
        return lax.optimization_barrier(turned)

"""Initial parameters without a program a shape: what Flax's initialisers draw, bit for bit.

JAX compiles a program for each shape that it draws, a quarter to three quarters of a second each on
a CPU, and a network has dozens of shapes. But a number depends on the key and on its own place in
the flat array alone. So one program, which draws the numbers of some part of an array, serves all
shapes: it draws as many parts as it is told to, up to 64, and NumPy puts them together. (Where the
last axis has 3 entries XLA rounds differently under JAX 0.12: 2% of the numbers are one unit off in
the last place.)

Where something is unusual Flax's own initialisers draw: under `jit` and `eval_shape`, which compile
no program a shape, within `jax.set_mesh`, with keys of another kind or on a device of one's choice.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jax.core import Tracer
from jax.extend.random import define_prng_impl
from jaxtyping import Array

BITS = 12  # a part has 2^12 numbers, which stay in a processor's first cache
PARTS = 64  # that one call draws, at most: with a call a part half of the time went into calls
AHEAD = 8  # calls that are begun before the first is waited for

Initialiser = Callable[..., Any]
Shape = tuple[int, ...]


def variance_scaling(scale: float, mode: str, distribution: str) -> Initialiser:
    """`nnx.initializers.variance_scaling`.

    Args:
      scale: of the variance.
      mode: "fan_in" or "fan_out", by which the scale is divided.
      distribution: "truncated_normal", "normal" or "uniform".
    """

    def draw(words: Array, shape: Shape, kind: Any) -> np.ndarray:
        fan = math.prod(shape[:-1]) if mode == "fan_in" else math.prod(shape) // shape[-2]
        variance = kind(scale / fan)
        if distribution == "uniform":
            return _drawn(_even, words, shape, kind, _full(np.sqrt(kind(3) * variance)))
        if distribution == "normal":
            return _drawn(_normal, words, shape, kind, _full(np.sqrt(variance)))
        deviation = np.sqrt(variance) / kind(0.87962566103423978)  # that between -2 and 2
        return _drawn(_truncated_normal, words, shape, kind, _full(deviation))

    plain = nnx.initializers.variance_scaling(scale, mode, distribution)  # type: ignore[arg-type]
    return _either(draw, plain, least_rank=2)


def normal(stddev: float) -> Initialiser:
    """`nnx.initializers.normal`."""

    def draw(words: Array, shape: Shape, kind: Any) -> np.ndarray:
        return _drawn(_normal, words, shape, kind, _full(kind(stddev)))

    return _either(draw, nnx.initializers.normal(stddev))


def truncated_normal(stddev: float) -> Initialiser:
    """`nnx.initializers.truncated_normal`: cut off at twice `stddev`, which it had before."""

    def draw(words: Array, shape: Shape, kind: Any) -> np.ndarray:
        return _drawn(_truncated_normal, words, shape, kind, _full(kind(stddev)))

    return _either(draw, nnx.initializers.truncated_normal(stddev))


def uniform(low: float, high: float) -> Initialiser:
    """`jax.random.uniform` between two bounds."""

    def draw(words: Array, shape: Shape, kind: Any) -> np.ndarray:
        return _drawn(_uniform, words, shape, kind, low, high)

    def plain(key: Array, shape: Shape, dtype: Any) -> Array:
        return jax.random.uniform(key, shape, dtype, low, high)

    return _either(draw, plain)


def constant(value: float) -> Initialiser:
    """`nnx.initializers.constant`, which compiles a program a shape too, of 25 ms."""
    plain = nnx.initializers.constant(value)
    return _either(lambda words, shape, kind: np.full(shape, value, kind), plain, narrow=True)


def filled(shape: Shape, value: float) -> Array:
    """`jnp.full` in float32, for what no key belongs to."""
    if jax.sharding.get_abstract_mesh().empty:
        return jax.device_put(np.full(shape, value, np.float32))
    return jnp.full(shape, value, np.float32)


def _either(
    draw: Callable[[Array, Shape, Any], np.ndarray],
    plain: Initialiser,
    least_rank: int = 0,
    narrow: bool = False,
) -> Initialiser:
    """The initialiser that draws by parts where it can, and else as Flax does.

    Args:
      draw: takes the words of the key, the shape and the type of a number.
      plain: Flax's initialiser.
      least_rank: axes that a shape has at least; Flax's says that it has too few.
      narrow: whether by parts with 16 bits too: their rounding follows from how XLA fuses, which
        JAX 0.12 does in another way within a loop.
    """

    def init(key: Any, shape: Any, dtype: Any = jnp.float32, **options: Any) -> Any:
        usual = not options and len(shape) >= least_rank
        words = _words(key, dtype) if usual else None
        if words is not None and not narrow and np.dtype(dtype).itemsize < 4:
            words = None
        if words is None or not math.prod(shape):
            return plain(key, shape, dtype, **options)
        return jax.device_put(draw(words, tuple(shape), np.dtype(dtype).type))

    return init


def _words(key: Any, dtype: Any) -> Array | None:
    """The two words of a key by which parts can be drawn of this dtype, here and now; else None."""
    usual = (
        isinstance(key, jax.Array)
        and key.shape == ()
        and dtype is not None
        and jnp.issubdtype(dtype, jnp.floating)
        and str(jax.random.key_impl(key)) == "threefry2x32"
        and jax.config.jax_threefry_partitionable  # type: ignore[attr-defined]
    )
    if not usual or isinstance(key, Tracer):
        return None
    words = jax.random.key_data(key)  # traced too, where anything is
    if isinstance(words, Tracer) or words.committed:
        return None
    return words if jax.sharding.get_abstract_mesh().empty else None


def _drawn(
    part: Callable[..., Array], words: Array, shape: Shape, kind: Any, *args: Any
) -> np.ndarray:
    """The numbers of an array, part by part."""
    numbers = _aligned(math.prod(shape), np.dtype(kind))
    size, count = PARTS << BITS, -(-numbers.size >> BITS)
    firsts = range(0, count, PARTS)
    for start in range(0, len(firsts), AHEAD):
        begun = [
            (first, part(words, np.uint32(first), np.int32(min(PARTS, count - first)), kind, *args))
            for first in firsts[start : start + AHEAD]
        ]
        for first, values in begun:
            into = numbers[first << BITS : (first << BITS) + size]
            into[:] = np.asarray(values).ravel()[: into.size]
    return numbers.reshape(shape)


def _full(factor: Any) -> np.ndarray:
    """A factor of all numbers of a part; XLA would multiply by a scalar in another order."""
    return np.full(1 << BITS, factor)


def _aligned(size: int, dtype: Any) -> np.ndarray:
    """Room for numbers that a CPU's device takes as it is: where a cache line begins."""
    items = 64 // dtype.itemsize
    room = np.empty(size + items, dtype)
    start = -room.ctypes.data // dtype.itemsize % items
    return room[start : start + size]


def _bits(key: Array, width: int, shape: Shape) -> Array:
    """What threefry has for the places of a part: the key's two words, and the part's number."""
    low = lax.iota(np.uint32, math.prod(shape)) + (key[2] << np.uint32(BITS))
    high, low = _threefry(key[0], key[1], key[2] >> np.uint32(32 - BITS), low)
    if width == 64:
        return (high.astype(np.uint64) << np.uint64(32)) | low.astype(np.uint64)
    return (high ^ low).astype(f"uint{width}")


def _threefry(key0: Array, key1: Array, high: Array, low: Array) -> tuple[Array, Array]:
    """Threefry of two words in 20 rounds, a key word added after every fourth.

    That of JAX is a loop on a CPU, which no compiler joins with what is made of its bits: 16 ns a
    number in place of 7, and 0.26 s to compile in place of 0.09.

    References: J. Salmon, M. Moraes, R. Dror and D. Shaw, Parallel random numbers: as easy as
    1, 2, 3, 2011.
    """
    keys = key0, key1, key0 ^ key1 ^ np.uint32(0x1BD11BDA)
    high, low = high + keys[0], low + keys[1]
    for group in range(5):
        for turn in ((13, 15, 26, 6), (17, 29, 16, 24))[group % 2]:
            high = high + low
            low = high ^ ((low << np.uint32(turn)) | (low >> np.uint32(32 - turn)))
        high = high + keys[(group + 1) % 3]
        low = low + keys[(group + 2) % 3] + np.uint32(group + 1)
    return high, low


def _never(*_: Any) -> Any:
    raise NotImplementedError("a part of an array has no further keys")


_PART = define_prng_impl(
    key_shape=(3,),
    seed=_never,
    split=_never,
    fold_in=_never,
    random_bits=_bits,
    name="part of threefry2x32",
    tag="part",
)


def _by_parts(draw: Callable[..., Array]) -> Callable[..., Array]:
    """The program that draws some parts of an array, one behind the other."""

    @functools.partial(jax.jit, static_argnums=3)
    def parts(words: Array, first: Array, count: Array, kind: Any, *args: Any) -> Array:
        def drawn(number: Array, numbers: Array) -> Array:
            index = first + number.astype(np.uint32)
            key = jax.random.wrap_key_data(jnp.append(words, index), impl=_PART)
            values = draw(key, (1 << BITS,), kind, *args)
            return lax.dynamic_update_index_in_dim(numbers, values, number, 0)

        return lax.fori_loop(np.int32(0), count, drawn, jnp.zeros((PARTS, 1 << BITS), kind))

    return parts


@_by_parts
def _uniform(key: Array, shape: Shape, kind: Any, low: Any, high: Any) -> Array:
    return jax.random.uniform(key, shape, kind, low, high)


@_by_parts
def _even(key: Array, shape: Shape, kind: Any, by: Any) -> Array:
    return jax.random.uniform(key, shape, kind, -1) * by


@_by_parts
def _normal(key: Array, shape: Shape, kind: Any, by: Any) -> Array:
    return nnx.initializers.normal(by)(key, shape, kind)  # JAX 0.12 multiplies in another order


@_by_parts
def _truncated_normal(key: Array, shape: Shape, kind: Any, by: Any) -> Array:
    return jax.random.truncated_normal(key, -2, 2, shape, kind) * by


zeros, ones = constant(0), constant(1)
zeros.__name__, ones.__name__ = "zeros", "ones"

# What Flax's layers draw their parameters with.
KERNEL_INIT = variance_scaling(1.0, "fan_in", "truncated_normal")
BIAS_INIT = zeros

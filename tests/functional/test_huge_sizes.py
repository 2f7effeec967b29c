"""Images of 2^31 pixels and more, by shape alone; hundreds of shapes, after which nothing is kept.

    JAXCNN_MANY_PROGRAMS=1 pytest -s tests/functional/test_huge_sizes.py -k programs

compiles a program for each of a thousand and prints what of the memory comes back.
"""

import ctypes
import functools
import gc
import os
import pathlib
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr

from jaxcnn import functional as F


def of(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


# An image of 2^32 + 2^16 pixels, more than int32 counts, and twice as many numbers.
IMAGE = of(1, 65536, 65537, 2)
TAPS, TILE = of(3, 3, 2, 4), of(3, 3, 2)


def plain(fn, **options):
    return functools.partial(fn, **options)


# name -> function, arguments, shape of the outputs
HUGE = {
    "conv": (F.conv, (IMAGE, TAPS), (1, 65536, 65537, 4)),
    "conv, a kernel as large": (
        plain(F.conv, padding="VALID"), (IMAGE, of(65536, 65537, 2, 4)), (1, 1, 1, 4)),
    "conv, strided and dilated": (
        plain(F.conv, strides=3, kernel_dilation=2), (IMAGE, TAPS), (1, 21846, 21846, 4)),
    "conv_transpose": (
        plain(F.conv_transpose, strides=2), (IMAGE, TAPS), (1, 131072, 131074, 4)),
    "depthwise_conv": (F.depthwise_conv, (IMAGE, of(3, 3, 2, 1)), (1, 65536, 65537, 2)),
    "separable_conv": (
        F.separable_conv, (IMAGE, of(3, 3, 2, 1), of(1, 1, 2, 3)), (1, 65536, 65537, 3)),
    "partial_conv": (
        lambda x, k, m: F.partial_conv(x, k, m)[0],
        (IMAGE, TAPS, of(1, 65536, 65537, 1)),
        (1, 65536, 65537, 4),
    ),
    "conv_local": (
        plain(F.conv_local, strides=40000, padding="VALID"),
        (IMAGE, of(2, 2, 3, 3, 2, 4)),
        (1, 2, 2, 4),
    ),
    "resize_conv": (
        plain(F.resize_conv, resized_shape=70000, method="linear"),
        (IMAGE, TAPS),
        (1, 70000, 70000, 4),
    ),
    "dilate": (plain(F.dilate, rate=(3, 2)), (IMAGE,), (1, 196606, 131073, 2)),
    "grey_dilation": (plain(F.grey_dilation, strides=2), (IMAGE, TILE), (1, 32768, 32769, 2)),
    "unfold": (plain(F.unfold, window_shape=(3, 2)), (IMAGE,), (1, 65534, 65536, 3, 2, 2)),
    "fold": (
        plain(F.fold, output_shape=(65536, 65537)),
        (of(1, 65535, 65536, 2, 2, 2),),
        (1, 65536, 65537, 2),
    ),
    "space_to_depth": (plain(F.space_to_depth, block_shape=(2, 1)), (IMAGE,), (1, 32768, 65537, 4)),
    "depth_to_space": (lambda x: F.depth_to_space(x, (1, 2)), (IMAGE,), (1, 65536, 131074, 1)),
    "max_pool": (lambda x: F.max_pool(x, (3, 2), 2), (IMAGE,), (1, 32767, 32768, 2)),
    "min_pool, long": (lambda x: F.min_pool(x, (30, 30), 2), (IMAGE,), (1, 32754, 32754, 2)),
    "avg_pool, one window": (lambda x: F.avg_pool(x, (65536, 65537)), (IMAGE,), (1, 1, 1, 2)),
    "avg_pool, of the pixels": (
        lambda x: F.avg_pool(x, (3, 3), 2, "SAME", False), (IMAGE,), (1, 32768, 32769, 2)),
    "sum_pool": (lambda x: F.sum_pool(x, (3, 3), 2), (IMAGE,), (1, 32767, 32768, 2)),
    "lp_pool": (lambda x: F.lp_pool(x, 2, (3, 3), 2), (IMAGE,), (1, 32767, 32768, 2)),
    "logsumexp_pool": (lambda x: F.logsumexp_pool(x, (2, 2), 2), (IMAGE,), (1, 32768, 32768, 2)),
    "pool": (lambda x: F.pool(x, 0.0, jnp.add, (3, 3), 2), (IMAGE,), (1, 32767, 32768, 2)),
    "blur_pool": (lambda x: F.blur_pool(x, (3, 3), 2), (IMAGE,), (1, 32768, 32769, 2)),
    "stochastic_pool": (
        lambda x: F.stochastic_pool(x, (2, 2), 2, deterministic=True),
        (IMAGE,),
        (1, 32768, 32768, 2),
    ),
    "fractional_max_pool": (
        lambda x: F.fractional_max_pool(x, (2, 2), (3000, 300), samples=jnp.zeros((1, 2, 2))),
        (IMAGE,),
        (1, 3000, 300, 2),
    ),
    "global_avg_pool": (F.global_avg_pool, (IMAGE,), (1, 2)),
    "adaptive_avg_pool": (lambda x: F.adaptive_avg_pool(x, (7, 3)), (IMAGE,), (1, 7, 3, 2)),
    "adaptive_max_pool": (lambda x: F.adaptive_max_pool(x, (7, 3)), (IMAGE,), (1, 7, 3, 2)),
    "spatial_pyramid_pool": (
        lambda x: F.spatial_pyramid_pool(x, ((1, 1), (2, 3))), (IMAGE,), (1, 14)),
}  # fmt: skip

WHOLE = functools.partial(of, dtype=jnp.int32)
# Where positions are counted in int32.
REFUSED = {
    "global_max_pool": (F.global_max_pool, IMAGE),
    "max_pool_with_indices": (lambda x: F.max_pool_with_indices(x, (2, 2), 2), IMAGE),
    "adaptive_max_pool_with_indices": (
        lambda x: F.adaptive_max_pool_with_indices(x, (7, 3)), IMAGE),
    "fractional_max_pool_with_indices": (
        lambda x: F.fractional_max_pool_with_indices(
            x, (2, 2), (30, 30), samples=jnp.zeros((1, 2, 2))), IMAGE),
    "max_unpool": (
        lambda x, i: F.max_unpool(x, i, (2, 2), 2),
        of(1, 32768, 32769, 1), WHOLE(1, 32768, 32769, 1)),
    "deform_conv": (
        lambda x, k, o: F.deform_conv(x, k, o, strides=20000),
        IMAGE, TAPS, of(1, 4, 4, 18)),
}  # fmt: skip


@pytest.mark.parametrize("name", HUGE)
def test_more_elements_than_int32_counts(name):
    """Value and gradient have their shapes, with 64-bit numbers off; no large array is made."""
    function, arguments, expected = HUGE[name]

    def run(*arrays):
        outputs, pullback = jax.vjp(function, *arrays)
        return outputs, pullback(outputs)

    with jax.enable_x64(False):
        traced = jax.jit(run).trace(*arguments)
    outputs, gradients = traced.out_info
    assert outputs.shape == expected
    assert [g.shape for g in gradients] == [a.shape for a in arguments]
    assert max(constant_sizes(traced.jaxpr), default=0) < 1_000_000


def constant_sizes(closed):
    """Of the arrays that a program, and those called in it, hold."""
    yield from (constant.size for constant in closed.consts if hasattr(constant, "size"))
    for equation in closed.jaxpr.eqns:
        for called in jax.tree.leaves(list(equation.params.values())):
            if isinstance(called, ClosedJaxpr):
                yield from constant_sizes(called)


def test_constants_are_found_in_programs_that_a_program_calls():
    inner = jax.jit(lambda x: x + np.arange(5.0))
    assert list(constant_sizes(jax.jit(lambda x: inner(x)).trace(jnp.ones(5)).jaxpr)) == [5]


@pytest.mark.parametrize("name", REFUSED)
def test_positions_that_do_not_fit_int32_are_refused(name):
    function, *arguments = REFUSED[name]
    match = rf"{name}: spatial sizes must have at most 2147483647 pixels together, so that their "
    with jax.enable_x64(False), pytest.raises(ValueError, match=match):
        jax.eval_shape(function, *arguments)


SHAPES = [(height, width) for height in range(2, 42) for width in range(2, 27)]


def forget():
    jax.clear_caches()
    gc.collect()


def ours():
    """How many objects and functions of the package are alive."""
    alive = gc.get_objects()
    named = (thing if type(thing) is types.FunctionType else type(thing) for thing in alive)
    return sum(str(thing.__module__).split(".")[0] == "jaxcnn" for thing in named)


def test_hundreds_of_shapes_leave_nothing_behind():
    """But in JAX's own caches, which `jax.clear_caches` empties; the package has none."""
    shapes = SHAPES[::5]

    def trace(height, width):
        jax.jit(lambda x: F.sum_pool(x, (2, 1))).trace(of(height, width, 1))

    trace(50, 50)
    forget()
    before, arrays = ours(), len(jax.live_arrays())
    for shape in shapes:
        trace(*shape)
    assert ours() >= before + len(shapes)  # windows are keys of JAX's caches
    forget()
    assert ours() == before and len(shapes) == 200
    assert len(jax.live_arrays()) == arrays
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "jaxcnn"]
    values = [value for module in modules for value in vars(module).values()]
    assert modules and not any(hasattr(value, "cache_info") for value in values)


def resident():
    """Megabytes of this process in memory, without what the allocator could give back."""
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def lax_conv(inputs, kernel):
    return jax.lax.conv_general_dilated(
        inputs[None], kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize("function", [F.conv, lax_conv])
def test_a_thousand_programs_give_their_memory_back(function):
    """Compiled and run: what stays is no more than of as many programs of `jax.lax`.

    Without JAXCNN_MANY_PROGRAMS 20 of them, of whose memory an allocator may keep what it likes.
    """
    all_of_them = "JAXCNN_MANY_PROGRAMS" in os.environ
    shapes = SHAPES if all_of_them else SHAPES[::50]

    def run(height, width):
        given = np.ones((height, width, 1), np.float32), np.ones((1, 2, 1, 1), np.float32)
        jax.jit(function)(*given).block_until_ready()

    run(50, 50)
    forget()
    before, arrays = resident(), len(jax.live_arrays())
    for shape in shapes:
        run(*shape)
    during = resident()
    forget()
    after = resident()
    print(f"{function.__name__}: {before:.0f} MB, {during:.0f} MB with {len(shapes):,} programs, "
          f"{after:.0f} MB when they are cleared")  # fmt: skip
    assert not all_of_them or after - before < 0.5 * (during - before)
    assert len(jax.live_arrays()) == arrays

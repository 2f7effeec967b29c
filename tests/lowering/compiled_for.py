"""A worker that compiles for an H100 what `test_compiled_for.py` holds, forward and backward."""

import functools
import math

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.benchmark import programs
from experiments.benchmark.compile_for import worker
from experiments.benchmark.programs import FORWARD
from experiments.benchmark.selection import load_rows, select
from experiments.compiled_for.description import load
from experiments.compiled_for.target import Target, kernels, memory
from experiments.compiled_for.workers import serve
from jaxcnn import functional, nn

TARGET = Target(load("h100"))


def conv_bias_relu(inputs, kernel, bias):
    """The start of most networks."""
    return jax.nn.relu(functional.conv(inputs, kernel, bias, padding=1))


@functools.cache
def rows():
    load_rows("primitives")
    return {row.name: row for row in select("primitives", "")}


def temporary(anew):
    """Bytes that the gradient of four blocks holds on the way, their inner values kept or not."""

    def build():
        rngs = nnx.Rngs(0)
        blocks = nn.Chain(**{f"block{n}": nn.BasicBlock(16, 16, rngs=rngs) for n in range(4)})
        blocks.remat = anew
        return blocks

    graph, params, rest = nnx.split(nnx.eval_shape(build), nnx.Param, ...)
    leaves, tree = jax.tree.flatten(params)

    def gradient(inputs, *leaves):
        def loss(params):
            fresh = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), rest)
            return nnx.merge(graph, params, fresh, copy=True)(inputs).sum()

        return jax.tree.leaves(jax.grad(loss)(jax.tree.unflatten(tree, leaves)))

    inputs = jax.ShapeDtypeStruct((8, 32, 32, 16), jnp.float32)
    return memory(TARGET.compile(gradient, [inputs, *leaves])).temporary


def answer(task):
    """{"name", "dtype", "mode"} to what is held; {"anew"} to bytes."""
    if "anew" in task:
        return {"temporary": temporary(task["anew"])}
    dtype = jnp.dtype(task["dtype"])
    if task["name"] == "conv + bias + relu":
        function = conv_bias_relu
        shapes = [(32, 32, 32, 64), (3, 3, 64, 64), (64,)]
        arrays = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]
    else:
        row = rows()[task["name"]]
        function, arrays = row.ours, worker.shapes(row, dtype)
    output = jax.eval_shape(function, *arrays)
    given = arrays if task["mode"] == FORWARD else [*arrays, output]
    whole = programs.program("primitives", task["mode"], function, 1)
    taken = jax.tree.leaves(jax.eval_shape(whole, *given))
    least = sum(math.prod(a.shape) * a.dtype.itemsize for a in [*given, *taken])
    program = kernels(TARGET.compile(whole, given))
    found = dict(kernels=program.launches, times=program.bytes / least, kinds=dict(program.kinds))
    return found


if __name__ == "__main__":
    serve(answer)

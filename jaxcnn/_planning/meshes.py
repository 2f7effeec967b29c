"""Arrays whose types say how they lie on devices: each device computes its own images.

On a mesh with explicit axes, the default of `jax.make_mesh`, an array's type carries its sharding,
`jax.typeof(x).sharding.spec`, and every operation has to say what becomes of it. The slices, pads
and selects that a primitive is made of say it one by one, or don't; a primitive knows it at once:
images are computed each by itself. So its body runs under `jax.shard_map` over those axes of the
mesh that split the batch, on each device's own images, and kernels come to each device whole. Their
gradient is the sum over the devices, which is how JAX transposes that. What else is split (rows,
channels, kernels) is gathered first, and the outputs are split as `lax` would have left them.

An axis of the mesh that splits no batch may be one that `jax.vmap` holds: over these a body runs
under `jax.sharding.auto_axes`, where types say nothing. Where the user says by `jaxcnn.sharding`
what splits images and rows, a body runs so over all axes, and its lowerings see to the rest.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
from jax import lax
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array

from jaxcnn.lowering import halo

R = TypeVar("R")

Entry = str | tuple[str, ...] | None
_NOWHERE = AbstractMesh((), ())


def on_devices(
    function: Callable[..., R], operands: dict[str, Array], batch: int, images: Sequence[str]
) -> R:
    """Calls a function of arrays, on each device with the part of the batch that lies there.

    Args:
      function: takes `operands` by name; outputs that have as many axes as the first one have the
        batch axes too.
      operands: the arrays.
      batch: how many batch axes there are.
      images: names of the arrays that begin with them, first the one by which outputs are split.
    """
    mesh = _mesh(operands.values())
    if mesh is None:
        return function(**operands)
    with jax.sharding.use_abstract_mesh(_NOWHERE), halo.asked(None):
        whole = jax.eval_shape(function, **{n: _untyped(a) for n, a in operands.items()})
    # Outside `jit`, too, as one program: what it is made of needs to be told the devices.
    return jax.jit(lambda operands: _spread(function, operands, mesh, whole, batch, images))(
        operands
    )


def _spread(
    function: Callable[..., R],
    operands: dict[str, Array],
    mesh: AbstractMesh,
    whole: R,
    batch: int,
    images: Sequence[str],
) -> R:
    """Calls a function whose outputs have the shapes of `whole`; the rest as above."""
    operands = {name: _put_on(array, mesh) for name, array in operands.items()}
    inputs = operands[images[0]]
    entries = _entries(inputs)
    own, shared = PartitionSpec(*entries[:batch]), PartitionSpec()
    specs = {name: own if name in images else shared for name in operands}
    leaves, tree = jax.tree.flatten(whole)
    has_batch = [leaf.ndim == leaves[0].ndim for leaf in leaves]
    by_users = halo.asks_for(mesh)
    if by_users:
        axes, gathered = set(), operands
        outs = [_kept(inputs, entries, batch, mesh, leaf.shape) for leaf in leaves]
    else:
        axes = {axis for entry in own for axis in _names(entry)}
        gathered = {name: _laid(array, mesh, specs[name]) for name, array in operands.items()}
        outs = [own] * len(leaves)
    outs = [spec if has else shared for spec, has in zip(outs, has_batch, strict=True)]
    out_specs = tree.unflatten(outs)

    kinds = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
    others = tuple(n for n, kind in kinds.items() if kind == AxisType.Explicit and n not in axes)

    def alone(operands: dict[str, Array]) -> R:
        return function(**operands)

    compute: Callable[..., Any] = alone
    if axes:
        compute = jax.shard_map(alone, in_specs=(specs,), out_specs=out_specs, axis_names=axes)
    if others and (by_users or AxisType.Manual not in kinds.values()):
        # As one program, or what is within would be transposed outside, where types speak. Not in a
        # caller's own `shard_map`, where JAX (0.10 and 0.12) loses the types of a stated tangent.
        compute = jax.sharding.auto_axes(
            jax.jit(compute),
            axes=others,
            out_sharding=jax.tree.map(functools.partial(NamedSharding, mesh), out_specs),
        )
    with jax.sharding.use_abstract_mesh(mesh):
        outputs = compute(gathered)
    laid = [
        _laid(output, mesh, _kept(inputs, entries, batch, mesh, output.shape)) if has else output
        for output, has in zip(jax.tree.leaves(outputs), has_batch, strict=True)
    ]
    return tree.unflatten(laid)


def _put_on(array: Array, mesh: AbstractMesh) -> Array:
    """The array on the mesh, whole on each device, if it lies on none.

    As a broadcast, for JAX (0.10 and 0.12) has no way back under `vmap` for a reshard of it.
    """
    if not jax.typeof(array).sharding.mesh.empty:
        return array
    everywhere = NamedSharding(mesh, PartitionSpec())
    axes = range(1, array.ndim + 1)
    return lax.broadcast_in_dim(array, (1, *array.shape), axes, out_sharding=everywhere)[0]


def _mesh(arrays: Any) -> AbstractMesh | None:
    """The mesh with explicit axes that one of the arrays lies on."""
    for array in arrays:
        mesh = jax.typeof(array).sharding.mesh
        if AxisType.Explicit in mesh.axis_types:
            return mesh
    return None


def _untyped(array: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype, weak_type=array.weak_type)


def _entries(array: Array) -> list[Entry]:
    """How each axis of an array is split."""
    entries = list(jax.typeof(array).sharding.spec)
    return entries + [None] * (array.ndim - len(entries))


def _names(entry: Entry) -> tuple[str, ...]:
    return () if entry is None else (entry,) if isinstance(entry, str) else entry


def _laid(array: Array, mesh: AbstractMesh, spec: PartitionSpec) -> Array:
    """The array split as `spec` says."""
    entries = [*spec, *[None] * (array.ndim - len(spec))]
    if list(map(_names, _entries(array))) == list(map(_names, entries)):
        return array
    return jax.sharding.reshard(array, NamedSharding(mesh, PartitionSpec(*entries)))


def _kept(
    inputs: Array, entries: list[Entry], batch: int, mesh: AbstractMesh, shape: tuple[int, ...]
) -> PartitionSpec:
    """How `lax` leaves outputs: split along the inputs' axes, where that divides them still."""
    kept: list[Entry] = [None] * len(shape)
    kept[:batch] = entries[:batch]
    if len(shape) >= inputs.ndim:
        kept[batch : inputs.ndim - 1] = entries[batch:-1]
    if batch < len(shape) and shape[-1] == inputs.shape[-1]:
        kept[-1] = entries[-1]
    for axis, entry in enumerate(kept[batch:], batch):
        if shape[axis] % math.prod(mesh.shape[name] for name in _names(entry)):
            kept[axis] = None
    return PartitionSpec(*kept)

"""Windows over images that are spread over many devices: each computes its own rows.

Where it is asked for (`jaxcnn.sharding.split`), the images of a batch lie on the devices along one
axis of a mesh, and the rows of each image on those along another. A device computes the windows
whose rows are its own. What these see beside its rows comes from the devices before and after, the
halo (`rows`); beyond the first and the last row stands the padding. Then every device runs the same
small program, whichever algorithm suits it, and a kernel's gradient is the sum over all devices.

XLA partitions a convolution by itself too, but not safely: with JAX 0.10.2 and 0.12 its gradient
was wrong for 3x3 windows on two rows over two devices, and some kernels of 7x7 end the process; a
scan over images, which some algorithms here are, makes it gather them all on every device; paddings
that show pixels of dilated images came out wrong. So it is left neither windows nor paddings: what
cannot be split is computed by every device, whole.

Where something else than zeros stands in the padding, which rows are real is known to each device
by its place among them: a window of -inf alone sends its gradient to one of these.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec
from jax.typing import ArrayLike
from jaxtyping import Array, Shaped

from jaxcnn import geometry
from jaxcnn.geometry import Size, Windows
from jaxcnn.lowering.rows import lengthened, plan_rows

R = TypeVar("R")


class Split(NamedTuple):
    """Which axes of a mesh split the images of a batch, and the rows of each image."""

    mesh: Mesh
    batch: str | None
    rows: str | None


# The `Split` that is asked for; JAX traces anew where it is another one.
asked = jax.make_user_context(default_value=None)


class Parts(NamedTuple):
    """How one call is split.

    Attributes:
      mesh: None for the one that is set.
      axes: those over which it runs.
      batch: the one along which the images lie, None for all images on each device.
      rows: likewise.
      devices: how many there are along `rows`.
    """

    mesh: Mesh | None
    axes: frozenset[str]
    batch: str | None
    rows: str | None
    devices: int

    def spec(self, images: Size) -> PartitionSpec:
        """Where so many images lie; one alone stands for all, on each device."""
        rows = () if self.rows is None else (self.rows,)
        return PartitionSpec(self.batch if self.batch and images > 1 else None, *rows)

    def run(self, part: Callable[[Any], R], specs: Any, out: PartitionSpec) -> Callable[[Any], R]:
        """`part` on each device."""
        if AxisType.Manual in jax.sharding.get_abstract_mesh().axis_types:
            # Within the caller's `shard_map` JAX (0.10 and 0.12) can hand nothing but operands from
            # here to the way back.
            part = jax.checkpoint(part)
        return jax.shard_map(
            part, mesh=self.mesh, in_specs=(specs,), out_specs=out, axis_names=self.axes
        )

    def alike(self, array: Array) -> Array:
        """An array that all devices hold, as one that may differ among them."""
        axes = tuple(axis for axis in (self.batch, self.rows) if axis)
        return lax.pcast(array, axes, to="varying") if axes else array


def asks_for(mesh: AbstractMesh) -> bool:
    """Whether some of its explicit axes are to split images or rows.

    Raises:
      ValueError: they are, but within `jax.shard_map`, where JAX (0.10 and 0.12) cannot have an
        axis change its type on the way back.
    """
    split = asked.value
    if split is None or dict(mesh.shape) != dict(split.mesh.shape):
        return False
    kinds = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
    explicit = [name for name in split[1:] if name and kinds[name] == AxisType.Explicit]
    if explicit and AxisType.Manual in kinds.values():
        raise ValueError(
            "split: within `jax.shard_map` the axes that split images and rows must be Auto, but "
            f"{explicit[0]!r} is Explicit; make the mesh with sharding.make_mesh, or hand "
            "`axis_types` to jax.make_mesh"
        )
    return bool(explicit)


def parts(images: Size, rows: Size | None = None) -> Parts | None:
    """How so many images of so many rows are to be split; None where they are one device's alone.

    Images that do not divide among the devices are computed by all of them. Rows are split if their
    number is given. Nothing is split where either is not known.
    """
    split = asked.value
    if split is None or not geometry.are_known(images, 0 if rows is None else rows):
        return None
    mesh, own = jax.sharding.get_abstract_mesh(), None
    if mesh.empty:  # within a program that began outside of the mesh
        mesh = own = _automatic(split.mesh)
    elif dict(mesh.shape) != dict(split.mesh.shape):
        return None
    kinds = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
    axes = {name for name in split[1:] if name and kinds[name] == AxisType.Auto}
    several = {name: mesh.shape[name] for name in axes if mesh.shape[name] > 1}
    if not several:
        return None
    batch = split.batch if split.batch in several else None
    by_rows = split.rows if split.rows in several else None
    if batch and (images == 0 or images % several[batch]):
        batch = None
    if rows is None:
        by_rows = None
    return Parts(own, frozenset(axes), batch, by_rows, several[by_rows] if by_rows else 1)


def _automatic(mesh: Mesh) -> Mesh:
    """The same mesh where types do not say what lies where."""
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * mesh.devices.ndim)


def by_rows(
    fill: Callable[[dict[str, Any]], ArrayLike] | None = None,
    *,
    beside: Sequence[str] = (),
    for_outputs: Sequence[str] = (),
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Has a lowering of windows compute, on each device, the windows whose rows are its own.

    It takes images as `inputs`, and `windows` or a `problem` that has some. Rows are the second
    axis of the images and of all that it gives. Where it takes `real`, it is told which rows are
    pixels if some only stand for padding. Arrays that are not named here come to it whole.

    Args:
      fill: from the arguments by their names what stands in the padding; None for zeros.
      beside: arguments that have the rows of the inputs.
      for_outputs: arguments that have the rows of the outputs.
    """

    def decorate(compute: Callable[..., R]) -> Callable[..., R]:
        signature = inspect.signature(compute)
        told = "real" in signature.parameters

        @functools.wraps(compute)
        def call(*args: Any) -> R:
            if asked.value is None:
                return compute(*args)
            given = dict(signature.bind(*args).arguments)
            split = parts(*given["inputs"].shape[:2])
            if split is None:
                return compute(*args)
            windows = _windows(given)
            plan = None if split.rows is None else plan_rows(windows, split.rows, split.devices)

            def part(arrays: dict[str, Array]) -> R:
                local = given | arrays
                for name in arrays.keys() - {"inputs", *beside, *for_outputs}:
                    local[name] = split.alike(arrays[name])
                if plan is None:
                    return compute(*_in_order(signature, local))
                for name in beside:
                    local[name] = plan.seen_rows(arrays[name])
                worst = None if fill is None else fill(local)
                local["inputs"] = plan.seen_rows(arrays["inputs"], worst)
                if told:
                    local["real"] = plan.real()
                outputs = compute(*_in_order(signature, _with_windows(local, plan.windows)))
                return jax.tree.map(plan.own_rows, outputs)

            arrays = {name: value for name, value in given.items() if isinstance(value, jax.Array)}
            specs = dict.fromkeys(arrays, PartitionSpec())
            for name in ("inputs", *beside, *for_outputs):
                specs[name] = split.spec(arrays[name].shape[0])
                if plan is not None:
                    held = plan.made if name in for_outputs else plan.held
                    arrays[name] = lengthened(arrays[name], held * split.devices)
            outputs = split.run(part, specs, split.spec(given["inputs"].shape[0]))(arrays)
            if plan is None:
                return outputs
            return jax.tree.map(
                lambda a: lax.slice_in_dim(a, 0, windows.output_shape[0], axis=1), outputs
            )

        return call

    return decorate


def apart(compute: Callable[..., R], images: Sequence[str], operands: dict[str, Array]) -> R:
    """Calls a function of images with all their rows, on each device with its own images.

    Args:
      compute: takes `operands` by name, and gives arrays that begin with the axis of the images.
      images: those that begin with it too; if there are none, every device computes everything.
      operands: the arrays.
    """
    count = operands[images[0]].shape[0] if images else 1
    split = parts(count)
    if split is None:
        return compute(**operands)

    def part(operands: dict[str, Array]) -> R:
        return compute(**operands)

    specs = {n: split.spec(count) if n in images else PartitionSpec() for n in operands}
    return split.run(part, specs, split.spec(count))(operands)


def whole_rows(inputs: Shaped[Array, "n rows ..."]) -> Shaped[Array, "n all_rows ..."]:
    """The same images with all rows on every device, put together by one sum.

    For what cannot be split by rows any more, such as the small maps before a dense layer.
    """
    typed = jax.typeof(inputs).sharding
    if any(typed.spec[1:2]):
        return jax.sharding.reshard(inputs, NamedSharding(typed.mesh, PartitionSpec(typed.spec[0])))
    split = parts(*inputs.shape[:2])
    if split is None or split.rows is None:
        return inputs
    held = -(-inputs.shape[1] // split.devices)

    def part(block: Array) -> Array:
        shape = (block.shape[0], held * split.devices, *block.shape[2:])
        start = lax.axis_index(split.rows) * held
        laid = lax.dynamic_update_slice_in_dim(jnp.zeros(shape, block.dtype), block, start, 1)
        return lax.psum(laid, split.rows)

    spec = split.spec(inputs.shape[0])
    laid = lengthened(inputs, held * split.devices)
    outputs = split.run(part, spec, PartitionSpec(spec[0]))(laid)
    return lax.slice_in_dim(outputs, 0, inputs.shape[1], axis=1)


def _windows(given: dict[str, Any]) -> Windows:
    return given["windows"] if "windows" in given else given["problem"].windows


def _with_windows(given: dict[str, Any], windows: Windows) -> dict[str, Any]:
    """The same arguments for other windows."""
    if "windows" in given:
        return given | {"windows": windows}
    return given | {"problem": dataclasses.replace(given["problem"], windows=windows)}


def _in_order(signature: inspect.Signature, given: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(given[name] for name in signature.parameters if name in given)

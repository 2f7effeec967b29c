"""Images that are too many, or too large, for one device: which of them each device computes.

A mesh lays the devices out along named axes. Within `split`, the devices along one of them hold
different images of a batch, and those along another different rows of the same images; kernels are
held by all, whole. Every function of `jaxcnn.functional` that has windows, and so every module and
model that is made of them, then computes on each device the windows whose rows are its own.
Neighbours exchange the rows that windows reach over, and nothing else moves but the sums that
gradients of kernels are. Values and gradients are those of one device, within rounding, whatever
divides: images that do not divide among the devices are computed by all of them.

Nothing is split outside of `split`, whatever the axes of a mesh are called: on an explicit mesh
each image is computed where its type says that it lies, on any other XLA decides.

By rows are split: `conv`, `depthwise_conv`, `separable_conv`, `conv_transpose`, `resize_conv`,
`partial_conv`, `conv_general_dilated`, `max_pool`, `min_pool`, `avg_pool`, `sum_pool`, `lp_pool`,
`logsumexp_pool`, `max_pool_with_indices`, `pool`, `stochastic_pool`, `blur_pool`, `grey_dilation`,
`grey_erosion` and `unfold`, along the first spatial axis. Before that, what is laid around images
by "reflect", "replicate" or "circular", and the resized image of `resize_conv` if its rows are no
multiple, is made with all rows on each device: paddings of zeros, or of nothing that counts, need
less memory.

By images alone, with all rows on each device, are split: `adaptive_avg_pool`, `adaptive_max_pool`,
`adaptive_max_pool_with_indices`, `conv_local`, `deform_conv`, `depth_to_space`, `dilate`, `fold`,
`fractional_max_pool`, `fractional_max_pool_with_indices`, `max_unpool`, `space_to_depth` and
`spatial_pyramid_pool`. Not even so is `conv_general_dilated` where it hands its arguments to `lax`
as they are (`batch_group_count`, booleans). The sums and maxima of `global_avg_pool` and
`global_max_pool` are split by XLA. Sizes that are not known when a program is traced split nothing.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh

from jaxcnn._checks.naming import named, naming
from jaxcnn.lowering import halo

__all__ = ["make_mesh", "split"]


@named
def make_mesh(
    spec: str = "",
    *,
    axes: Sequence[str] = ("data", "space"),
    devices: Sequence[Any] | None = None,
) -> Mesh:
    """Lays devices out along two axes, the first for images, the second for their rows.

    It is `jax.make_mesh` with its sizes in one string, such as a command line brings, and axes of
    the type Auto; `split` takes any other mesh as well.

    Args:
      spec: as "data=4,space=2", with either axis left out for 1; "" puts all devices on the first.
        It may name fewer devices than there are in one process; several processes use all of
        theirs.
      axes: the names of both.
      devices: to choose from; all those of all processes when left out.
    Returns:
      A mesh with these axes. Devices next to each other along the second are next to each other in
      `devices`, so that rows are exchanged inside a process where possible.
    Raises:
      ValueError: the spec cannot be read, or asks for other devices than there are; the names are
        no two different ones.
      TypeError: an argument is of the wrong type.

    Example:
      >>> from jaxcnn import sharding
      >>> dict(sharding.make_mesh("data=1").shape)
      {'data': 1, 'space': 1}
    """
    if not isinstance(spec, str):
        raise TypeError(f"`spec` (={spec!r}) must be a string, got {type(spec).__name__}")
    first, second = _names(axes)
    devices = list(jax.devices() if devices is None else devices)
    sizes = {first: 1, second: 1}
    if spec:
        sizes |= _sizes(spec, (first, second))
    else:
        sizes[first] = len(devices)
    needed = math.prod(sizes.values())
    processes = len({device.process_index for device in devices})
    if needed > len(devices) or (processes > 1 and needed < len(devices)):
        there = f"{len(devices)} in {processes} processes" if processes > 1 else len(devices)
        raise ValueError(
            f"`spec` (={spec!r}) takes {needed} devices, but there are {there}; "
            "let the product of its sizes be that"
        )
    shape, kinds = tuple(sizes.values()), (AxisType.Auto,) * 2
    return jax.make_mesh(shape, (first, second), kinds, devices=devices[:needed])


@contextlib.contextmanager
def split(mesh: Mesh, *, batch: str | None = None, rows: str | None = None) -> Iterator[None]:
    """Within, splits the images of every batch, and the rows of every image, over a mesh.

    It is for the `with` around a call, compiled by `jax.jit` or not, or around a part of a function
    that is compiled; it sets the mesh too, as `jax.set_mesh` does. The innermost one counts. What
    is split and by which functions is told at the head of `jaxcnn.sharding`.

    An axis that the caller's own `jax.shard_map` runs over splits nothing more. On explicit axes,
    which `jax.make_mesh` makes, types say that outputs are split as the inputs were; there and
    within `jax.shard_map` over other axes of the mesh, those that are named here must be Auto.

    Args:
      mesh: lays out the devices: of `make_mesh`, `jax.make_mesh` or any other.
      batch: the axis along which the devices hold different images; None for all images on each.
      rows: the axis along which they hold different rows, of the first spatial axis; None for all
        rows on each.
    Returns:
      A context manager.
    Raises:
      ValueError: the mesh has no such axis, one is named for both, or a program that is being
        traced runs on another mesh.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jaxcnn import functional as F, sharding
      >>> mesh = sharding.make_mesh("data=1,space=1")  # "data=4,space=2" on eight devices
      >>> images, kernel = jnp.ones((8, 32, 32, 3)), jnp.ones((3, 3, 3, 16))
      >>> with sharding.split(mesh, batch="data", rows="space"):
      ...     F.conv(images, kernel).shape
      (8, 32, 32, 16)
    """
    with naming("split"):
        _check(mesh, {"batch": batch, "rows": rows})
    with contextlib.ExitStack() as contexts:
        try:
            contexts.enter_context(jax.set_mesh(mesh))
        except ValueError:  # within a program, which runs on the mesh of who calls it, if on any
            around = jax.sharding.get_abstract_mesh()
            if not around.empty and dict(around.shape) != dict(mesh.shape):
                raise ValueError(
                    f"split: `mesh` (={_told(mesh)}) must be the one that the program being traced "
                    f"runs on, {_told(around)}; take that one, or split around the whole program"
                ) from None
        contexts.enter_context(halo.asked(halo.Split(mesh, batch, rows)))
        yield


def _check(mesh: Any, named_axes: dict[str, Any]) -> None:
    """Refuses what is no mesh, and axes that it does not have."""
    if not isinstance(mesh, Mesh):
        raise TypeError(
            f"`mesh` must be a jax.sharding.Mesh, as make_mesh gives; got {type(mesh).__name__}"
        )
    for argument, axis in named_axes.items():
        if not (axis is None or isinstance(axis, str)):
            raise TypeError(
                f"`{argument}` (={axis!r}) must be the name of one axis of the mesh, or None; "
                f"got {type(axis).__name__}"
            )
        if axis is not None and axis not in mesh.axis_names:
            raise ValueError(
                f"`{argument}` (={axis!r}) must be an axis of the mesh; received {_told(mesh)}"
            )
    if named_axes["rows"] is not None and named_axes["rows"] == named_axes["batch"]:
        raise ValueError(
            f"`rows` (={named_axes['rows']!r}) must be another axis than `batch`; leave one out or "
            "make a mesh of two axes"
        )


def _told(mesh: Any) -> str:
    """A mesh in the form that `make_mesh` reads."""
    return ",".join(f"{axis}={size}" for axis, size in mesh.shape.items())


def _names(axes: Sequence[str]) -> tuple[str, str]:
    """The names of both axes."""
    if isinstance(axes, str) or not all(isinstance(axis, str) for axis in axes):
        raise TypeError(f"`axes` (={axes!r}) must be two strings")
    if len(axes) != 2 or axes[0] == axes[1] or not all(axes) or set("=,") & set("".join(axes)):
        raise ValueError(
            f"`axes` (={tuple(axes)!r}) must be two different names without '=' and ','"
        )
    return axes[0], axes[1]


def _sizes(spec: str, axes: tuple[str, str]) -> dict[str, int]:
    """The size of each axis that `spec` names."""
    sizes: dict[str, int] = {}
    for part in spec.split(","):
        axis, _, size = (text.strip() for text in part.partition("="))
        if axis not in axes or axis in sizes or not size.isdecimal() or int(size) < 1:
            raise ValueError(
                f"`spec` (={spec!r}) must name {' and '.join(axes)} at most once, each with its "
                f"number of devices, as in {axes[0]}=4,{axes[1]}=2"
            )
        sizes[axis] = int(size)
    return sizes

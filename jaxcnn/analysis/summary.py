"""A network as a table: what every layer gives, sees, holds and costs."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Container, Iterable
from fractions import Fraction
from typing import Any

import jax
from flax import nnx

from jaxcnn import geometry
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named
from jaxcnn._modules.follow import Unknown
from jaxcnn._modules.still import name_of, opened
from jaxcnn.analysis import _calls, _products, _share
from jaxcnn.analysis._inputs import shapes_of
from jaxcnn.analysis.field import followed, to_field
from jaxcnn.geometry.field import Field

_HEADS = ("layer", "kind", "output", "field", "strides", "parameters", "multiply-adds", "memory")


@dataclasses.dataclass(frozen=True, slots=True)
class SummaryRow:
    """One layer, or one block of layers.

    Attributes:
      layer: its path, names joined by dots.
      kind: its class.
      output: shape of what it gives.
      field: what a unit of it sees; None where that is every pixel, or unknown.
      sees: the field as text: pixels per axis, "all", or "-" for unknown.
      parameters: entries of its parameters that are learnt.
      multiply_adds: products that it adds up; None where that is not known before it runs.
      memory: bytes of what the layers inside it give, all of which a backward pass may keep.
      share: its part of the measured time; None where that was not asked for, or where it can't run
        by itself, as one layer of several whose parameters are stacked, or one of Linen.
    """

    layer: str
    kind: str
    output: tuple[int, ...]
    field: Field | None
    sees: str
    parameters: int
    multiply_adds: int | None
    memory: int
    share: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """The table that `summary` returns: `rows`, and sums over them; `str` shows it.

    Attributes:
      model: name of the network.
      rows: one for each layer or block, in the order of their calls.
      output: shape of what the network gives.
      parameters: entries of all parameters that are learnt.
      multiply_adds: of one forward pass on the given inputs; None if it is for one of the rows.
      memory: bytes of what all layers give.
    """

    model: str
    rows: tuple[SummaryRow, ...]
    output: Any
    parameters: int
    multiply_adds: int | None
    memory: int

    def __repr__(self) -> str:
        return (
            f"Summary({self.model}: {self.parameters:,} parameters, "
            f"{_scaled(self.multiply_adds)} multiply-adds)"
        )

    def __str__(self) -> str:
        timed = any(row.share is not None for row in self.rows)
        lines: list[tuple[str, ...]] = [(*_HEADS, "time") if timed else _HEADS]
        for row in self.rows:
            strides = _sizes(row.field.strides) if row.field else "-"
            cells = (row.layer, row.kind, "x".join(map(str, row.output)), row.sees, strides)
            costs = (f"{row.parameters:,}", _scaled(row.multiply_adds), _scaled(row.memory, "B"))
            share = "-" if row.share is None else f"{row.share:.1%}"
            lines.append((*cells, *costs, share) if timed else (*cells, *costs))
        totals = (f"{self.parameters:,}", _scaled(self.multiply_adds), _scaled(self.memory, "B"))
        lines.append((self.model, "", "", "", "", *totals, *(("",) if timed else ())))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        texts = []
        for line in lines:
            cells = (
                cell.ljust(width) if index < 2 else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            texts.append("  ".join(cells).rstrip())
        rule = "-" * max(map(len, texts))
        return "\n".join((texts[0], rule, *texts[1:-1], rule, texts[-1]))


@named
def summary(
    model: nnx.Module | Callable[..., Any],
    *inputs: Any,
    depth: int | None = 3,
    time: bool = False,
    show: bool = True,
) -> Summary:
    """Shows a network as a table: what every layer gives, sees, holds and costs.

    Shapes alone are worked out (`nnx.eval_shape`): neither the inputs nor the model need hold
    values, and nothing is allocated or changed. All of it is read in the Jaxpr of the model in
    evaluation, whatever it is written with; fields are those of `receptive_field`. Costs are those
    of one forward pass on the given inputs, batch included: a layer called twice costs twice, and
    one in a loop or in a batch of `vmap` as often as it runs. Parameters that layers share are
    counted with the first of them.

    Multiply-adds are the products that convolutions and products of matrices (`dot_general`) add
    up. A weight of a convolution counts once at every output pixel, padding or not, of a transposed
    one once at every input pixel, whatever they are lowered to on a platform; of an input dilation
    the zeros between pixels don't count. Pools, interpolations and functions of single elements
    count none; `jax.image.resize` multiplies matrices, and these count. What a module multiplies
    beside the modules inside it has a row of its own. Of the branches of a `cond` the one that
    multiplies most counts, and the others' rows show 0. What is multiplied in a `while_loop`, in a
    kernel of another language or on the host is unknown.

    Args:
      model: a network or a layer, also one from `nnx.eval_shape`, or with arguments set by
        `functools.partial`, as in `partial(model, train=False)`; or a function, which is one row.
        Modules of Linen that run in it, by `nnx.bridge.ToNNX` or `apply`, have rows of their own.
      *inputs: what it is called with: arrays, `jax.ShapeDtypeStruct`, or shapes
        `(batch, *spatial, channels)`, which stand for float32; or dictionaries of such.
      depth: names in a path; what lies deeper is added up in one row. None for every layer.
      time: whether to run forward and backward pass of each row by itself, on random inputs, and
        show its share of their sum; the model must hold values then, and each row is compiled.
      show: whether to print the table.
    Returns:
      The table.
    Raises:
      ValueError: `depth` is below one, or the model does not take the inputs.
      TypeError: the model can't be called, or holds no values to be timed with.

    Example:
      >>> from flax import nnx
      >>> from jaxcnn import analysis, models
      >>> model = nnx.eval_shape(lambda: models.LeNet5(rngs=nnx.Rngs(0)))
      >>> table = analysis.summary(model, (1, 28, 28, 1), depth=1)
      layer       kind     output  field  strides  parameters  multiply-adds    memory
      --------------------------------------------------------------------------------
      features    Chain  1x5x5x16     16        4       2,572       357.60 k  56.74 kB
      classifier  Chain      1x10    all        -      59,134        58.92 k   3.27 kB
      --------------------------------------------------------------------------------
      LeNet5                                           61,706       416.52 k  60.01 kB
      >>> table
      Summary(LeNet5: 61,706 parameters, 416.52 k multiply-adds)
    """
    if depth is not None:
        depth = geometry.whole_number("depth", depth, 1)
    checks.flag("time", time)
    checks.flag("show", show)
    recording = _calls.record(model, *shapes_of(inputs))
    calls, costs, outputs = recording.calls, recording.costs(), recording.outputs
    parameters, found, name = (), opened(model), name_of(model)
    if found is not None:
        model = found[0]
        parameters: Any = nnx.to_flat_state(nnx.state(model, nnx.Param))
    called = {call.path for call in calls.values()}
    holders = {_start(path, called) for path, _ in parameters}
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number, call in calls.items():
        own = costs.products[number] or number in costs.unknown or call.path in holders
        if call.leaf or own:
            groups.setdefault(call.path[:depth], []).append(number)
    learnt: Counter[Any] = Counter()  # None for modules that are not called
    for path, leaf in parameters:
        learnt[_start(path, groups)] += leaf.size
    known = _fields(recording)
    shares = _share.measure(model, calls, costs, groups) if time else dict.fromkeys(groups)
    rows = []
    for path, members in groups.items():
        last = next((c for c in reversed(calls.values()) if c.path == path), calls[members[-1]])
        field = known.get(path)
        row = SummaryRow(
            layer=".".join(map(str, path)) or "(model)",
            kind=last.kind if last.path == path else type(_share.part(model, path)).__name__,
            output=next(
                (x.shape for x in jax.tree.leaves(last.outputs) if hasattr(x, "shape")), ()
            ),
            field=field,
            sees="-" if path not in known else "all" if field is None else _sizes(field.size),
            parameters=learnt[path],
            multiply_adds=_sum(None if n in costs.unknown else costs.products[n] for n in members),
            memory=sum(costs.memory[n] for n in members if calls[n].leaf),
            share=shares[path],
        )
        rows.append(row)
    table = Summary(
        name,
        tuple(rows),
        jax.tree.map(lambda leaf: leaf.shape, outputs),
        learnt.total(),
        _sum(row.multiply_adds for row in rows),
        sum(row.memory for row in rows),
    )
    if show:
        print(table)
    return table


def _fields(recording: _calls.Recording) -> dict[Any, Any]:
    """The field after every call, by its path, as far as it is known; the last of several."""
    shape = recording.image.shape
    found: dict[Any, Any] = {}

    def note(name: str, seen: Any) -> None:
        number = _products.call_of(name)
        if number is not None:
            found[number] = to_field(seen, shape)

    if len(shape) > 2:
        with contextlib.suppress(Unknown, ValueError):
            followed(recording, note)
    return {call.path: found[number] for number, call in recording.calls.items() if number in found}


def _start(path: tuple[Any, ...], paths: Container[tuple[Any, ...]]) -> tuple[Any, ...] | None:
    """The longest beginning of a path that is one of others."""
    starts = (path[:length] for length in range(len(path), -1, -1))
    return next((start for start in starts if start in paths), None)


def _sum(amounts: Iterable[int | None]) -> int | None:
    """The sum, unknown if one of them is."""
    found = list(amounts)
    return None if None in found else sum(amount or 0 for amount in found)


def _sizes(sizes: tuple[int | Fraction, ...]) -> str:
    """Sizes per axis, or one for all that agree."""
    return str(sizes[0]) if len(set(sizes)) == 1 else "x".join(map(str, sizes))


def _scaled(number: int | None, unit: str = "") -> str:
    """A number with a prefix of three digits' steps."""
    if number is None:
        return "unknown"
    for prefix, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= factor:
            return f"{number / factor:.2f} {prefix}{unit}"
    return f"{number} {unit}".rstrip()

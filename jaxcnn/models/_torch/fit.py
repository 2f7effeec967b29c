"""Finds for every parameter of a model its array in the weights, or says what does not fit."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from flax import nnx

from jaxcnn.models import _values
from jaxcnn.models._torch import checks, files, match, own
from jaxcnn.models._torch.layout import Entry
from jaxcnn.models._torch.report import TorchReport, listed

Pairs = list[tuple[Entry, Any]]
OWN = "own"  # the names of the layers in the model itself
_ASKED = "asked for"


def fit(
    model: nnx.Module,
    tables: Mapping[str, match.Table],
    arrays: Mapping[str, Any],
    *,
    rename: match.Rename | None,
    strict: bool,
    skip: Sequence[str],
    in_code_order: bool,
) -> tuple[Pairs, TorchReport]:
    """Every entry with its array, and what became of all the others.

    Args:
      model: that the entries are of.
      tables: whose names -> the entries under these, "own" among them.
      arrays: the weights.
      rename: of their names.
      strict: whether anything left over is an error.
      skip: beginnings of names that are left out.
      in_code_order: whether the arrays come in the order of the code.
    """
    origin = match.renamed(arrays, rename)
    found = {kind: match.by_name(table, origin) for kind, table in tables.items()}
    kind = max(found, key=lambda kind: len(found[kind]))
    table, named, told = tables[kind], found[kind], kind
    by_order = _by_order(
        model, table if named else tables[OWN], named, arrays, origin, in_code_order
    )
    if by_order and not named:
        table, told = tables[OWN], "order"
    sources = {name: origin[new] for name, new in {**named, **by_order}.items()}

    paths, skipped = _values.paths(model), _Skipped(skip)
    pairs: Pairs = []
    reasons, misfits, missing, unknown = {}, {}, [], []
    there: dict[int, list[str]] = {}  # the names that a parameter has; several share some
    for name, entry in table.items():
        there.setdefault(id(entry.variable), []).append(name)
    filled: dict[int, str] = {}
    for name, entry in table.items():
        source, others = sources.get(name), there[id(entry.variable)]
        if skipped(name, paths[id(entry.variable)], source or name):
            if source is not None:
                reasons[source] = _ASKED
        elif source is None:
            if name == others[0] and not any(other in sources for other in others):
                missing.append(name)
        else:
            array = _as_array(arrays[source])
            first = filled.setdefault(id(entry.variable), source)
            if why := checks.misfit(entry, array) or _apart(arrays, first, source):
                misfits[source] = why
            else:
                pairs.append((entry, array))
    known, new_names = set(sources.values()), {old: new for new, old in origin.items()}
    for source in arrays:
        if source in known:
            continue
        if source not in new_names or skipped(source, new_names[source]):
            reasons[source] = _ASKED
        else:
            unknown.append(source)
    skipped.check(arrays)
    if strict or not pairs:
        whose = "its own" if kind == OWN else f"{kind}'s"
        what = f"{type(model).__name__} under {whose} names"
        checks.refuse(what, missing, unknown, misfits, arrays)
    reasons |= misfits | dict.fromkeys(unknown, "not in the model")
    taken = {id(entry.variable) for entry, _ in pairs}
    all_of_them = dict.fromkeys(id(entry.variable) for entry in tables[OWN].values())
    return pairs, TorchReport(
        told,
        tuple((sources[entry.name], paths[id(entry.variable)]) for entry, _ in pairs),
        tuple(reasons.items()),
        tuple(paths[variable] for variable in all_of_them if variable not in taken),
    )


def _apart(arrays: Mapping[str, Any], first: str, source: str) -> str:
    """What is wrong with two arrays for one parameter; nothing if they are the same."""
    if first == source:
        return ""
    one, two = (np.asarray(_as_array(arrays[name])) for name in (first, source))
    if np.array_equal(one, two, equal_nan=True):
        return ""
    return f"differs from {first}, and both are one parameter in the model"


class _Skipped:
    """Whether a name is to be left out, by one of several beginnings, each of use at least once."""

    def __init__(self, beginnings: Sequence[str]):
        self._beginnings, self._idle = beginnings, set(beginnings)

    def __call__(self, *names: str) -> bool:
        fitting = {
            each for each in self._beginnings for name in names if match.within(name, [each])
        }
        self._idle -= fitting
        return bool(fitting)

    def check(self, names: Iterable[str]) -> None:
        """Raises ValueError if a beginning fitted no name."""
        if self._idle:
            there = listed(names)
            raise ValueError(
                f"`skip` has {min(self._idle)!r}, and no name begins so; there are {there}"
            )


def _by_order(
    model: nnx.Module,
    table: match.Table,
    named: Mapping[str, str],
    arrays: Mapping[str, Any],
    origin: Mapping[str, str],
    in_code_order: bool,
) -> dict[str, str]:
    """What is left of both, paired by shapes and order if all of it can be."""
    known = {id(table[name].variable) for name in named}
    rest = {name: entry for name, entry in table.items() if id(entry.variable) not in known}
    taken = set(named.values())
    left = {new: getattr(arrays[origin[new]], "shape", None) for new in origin if new not in taken}
    if not rest or not left or None in left.values():
        return {}
    shapes = {new: tuple(shape) for new, shape in left.items() if shape is not None}
    ordered = (own.keeps_order(model), in_code_order)
    once = {id(entry.variable): name for name, entry in reversed(rest.items())}
    # Weights name what layers share by each of their names, or once.
    return match.by_order(rest, shapes, ordered) or match.by_order(
        {name: rest[name] for name in rest if once[id(rest[name].variable)] == name},
        shapes,
        ordered,
    )


def _as_array(value: Any) -> Any:
    """An array of NumPy, from a PyTorch tensor too; what lies in a file stays there."""
    if isinstance(value, files.InFile):
        return value
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # which has no way to NumPy of its own
            value = value.float()
    return np.asarray(value)

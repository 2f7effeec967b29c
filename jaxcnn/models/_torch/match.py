"""Which array of a PyTorch network is which parameter of ours: by name, by shape and order."""

import re
from collections.abc import Callable, Iterable, Mapping

from jaxcnn.models._torch.layout import Entry
from jaxcnn.models._torch.report import listed

Rename = Mapping[str, str] | Callable[[str], str | None]
Table = Mapping[str, Entry]

# What wrappers put before the names of a network: nn.DataParallel, torch.compile, Lightning.
_WITHIN = re.compile(r"(^|(?<=\.))(module|_orig_mod)\.")
_BEFORE = re.compile(r"^(model|net|network|state_dict)\.")
_TOLD = 4  # layers in a message


def bare(name: str) -> str:
    """The name without what PyTorch's wrappers put before it and within it."""
    return _BEFORE.sub("", _WITHIN.sub("", name))


def within(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name is one of `patterns` or lies below one: "fc" holds "fc.weight"."""
    return any(f"{name}.".startswith(f"{pattern.rstrip('.')}.") for pattern in patterns)


def renamed(names: Iterable[str], rename: Rename | None) -> dict[str, str]:
    """Every name by what it is changed to; those that become None are left out.

    Args:
      names: of arrays.
      rename: a function of a name; or names and beginnings of names, the longest of which counts.
    Raises:
      ValueError: two names become the same, or a rule changes none.
      TypeError: `rename` is neither a function nor a mapping.
    """
    names = list(names)
    if rename is None:
        return {name: name for name in names}
    if isinstance(rename, Mapping):
        rules = {str(old).rstrip("."): str(new).rstrip(".") for old, new in rename.items()}
        idle = [old for old in rules if not any(within(name, [old]) for name in names)]
        if idle:
            there = listed(names)
            raise ValueError(f"`rename` has {idle[0]!r}, and no name begins so; there are {there}")
        function = _by_beginnings(rules)
    elif callable(rename):
        function = rename
    else:
        raise TypeError(f"`rename` must be a mapping or a function, got {type(rename).__name__}")
    changed: dict[str, str] = {}
    for name in names:
        new = function(name)
        if new is None:
            continue
        if not isinstance(new, str):
            raise TypeError(f"`rename` must give a name or None for {name!r}, got {new!r}")
        if new in changed:
            raise ValueError(f"`rename` makes {changed[new]!r} and {name!r} both {new!r}")
        changed[new] = name
    return changed


def _by_beginnings(rules: Mapping[str, str]) -> Callable[[str], str]:
    """Changes the longest beginning that there is a rule for."""

    def change(name: str) -> str:
        fitting = [old for old in rules if within(name, [old])]
        if not fitting:
            return name
        old = max(fitting, key=len)
        return f"{rules[old]}{name[len(old) :]}".removeprefix(".")

    return change


def by_name(table: Table, names: Iterable[str]) -> dict[str, str]:
    """The entries of a table that are there, each with its name in the weights."""
    names = list(names)
    found = {name: name for name in names if name in table}
    for name in names:
        if name not in table and bare(name) in table:
            found.setdefault(bare(name), name)
    return found


def by_order(
    table: Table, shapes: Mapping[str, tuple[int, ...]], ordered: tuple[bool, bool]
) -> dict[str, str]:
    """Pairs all layers that are left by the names and shapes of their arrays, and their order.

    Layers of the same shapes are paired in the order of the code where it is known, or else in that
    of their numbers, where their names differ in numbers alone.

    Args:
      table: entries of ours, whose layers are left.
      shapes: of the arrays in the weights that are left, in their order.
      ordered: whether the table's order, and that of `shapes`, is that of the code.
    Returns:
      As `by_name`; {} unless each layer finds its own. A last pair may differ in a size: of another
      number of classes.
    Raises:
      ValueError: only the order could tell, and it is not known.
    """
    ours = _layers({name: entry.shape for name, entry in table.items()})
    theirs = _layers(shapes)
    kinds = {kind: ([], []) for kind in (*ours.values(), *theirs.values())}
    for side, layers in enumerate((ours, theirs)):
        for name, kind in layers.items():
            kinds[kind][side].append(name)
    alike = [both for both in kinds.values() if len(both[0]) == len(both[1])]
    apart = [both for both in kinds.values() if len(both[0]) != len(both[1])]
    mine, yours = (sum((both[side] for both in apart), []) for side in (0, 1))
    ranks = [
        [(n, len(s)) for n, s in held[layer]]
        for held, layers in ((ours, mine), (theirs, yours))
        for layer in layers
    ]
    if apart and (len(mine) != 1 or len(yours) != 1 or ranks[0] != ranks[1]):
        return {}
    pairs = dict(zip(mine, yours, strict=True))
    for both in alike:
        in_order = [_in_order(names, known) for names, known in zip(both, ordered, strict=True)]
        pairs |= zip(*in_order, strict=True)
    return {
        f"{mine}.{array}" if mine else array: f"{yours}.{array}" if yours else array
        for mine, yours in pairs.items()
        for array, _ in ours[mine]
    }


_Kind = tuple[tuple[str, tuple[int, ...]], ...]


def _layers(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, _Kind]:
    """The names and shapes of every layer's arrays."""
    layers: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        layer, _, array = name.rpartition(".")
        layers.setdefault(layer, {})[array] = tuple(shape)
    return {layer: tuple(sorted(arrays.items())) for layer, arrays in layers.items()}


def _in_order(names: list[str], known: bool) -> list[str]:
    """Layers of the same shapes, in order."""
    if known or len(names) == 1:
        return names
    if len({re.sub(r"\d+", "#", name) for name in names}) == 1:
        return sorted(names, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    told = ", ".join(names[:_TOLD])
    raise ValueError(
        f"`weights` and `model` have layers of the same shapes whose order is not known: {told}"
        f"{' and more' if len(names) > _TOLD else ''}; say which is which by rename={{'their name'"
        ": 'the name in the model'}"
    )

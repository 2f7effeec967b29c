"""What the errors say about weights that do not fit a network, and what to do about it."""

import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx

from jaxcnn.models import _torch_layout, _values

_FLOATS = ("F64", "F32", "F16", "BF16")  # as safetensors files call them
_TOLD = 12  # names of one kind in a message
_LETTERS = 120  # of a name in a message
# What PyTorch puts before the names of a network inside of another, and who does.
_WRAPPERS = {"module.": "nn.DataParallel", "_orig_mod.": "torch.compile"}


def values(model: nnx.Module, table: Mapping[str, _torch_layout.Entry]) -> None:
    """Raises ValueError if a parameter that PyTorch does not know has no value either."""
    known = {id(entry.variable) for entry in table.values()}
    left = [
        name
        for name, leaf in _values.valueless(model).items()
        if id(leaf) not in known and not isinstance(leaf, nnx.RngState)
    ]
    if left:
        raise ValueError(
            f"`model` has parameters that `weights` have no values for, and that have "
            f"none of their own: {listed(left)}; give them values first, by nnx.update, or build "
            "the model itself in place of nnx.eval_shape"
        )


def arrays(what: str, table: Mapping[str, _torch_layout.Entry], found: Mapping[str, Any]) -> None:
    """Raises ValueError unless the arrays found are those of the table, and as they must be."""
    wrong = []
    for name, entry in table.items():
        array = found.get(name)
        if array is None:
            continue
        if array.shape != entry.shape:
            wrong.append(f"{name} is {array.shape} in place of {entry.shape}")
        elif not _is_float(array.dtype):
            wrong.append(f"{name} holds {array.dtype} in place of floats")
    faults = {
        "missing": [name for name in table if name not in found],
        "unknown": [name for name in found if name not in table],
        "misshapen": wrong,
    }
    if any(faults.values()):
        told = "; ".join(f"{kind}: {listed(each)}" for kind, each in faults.items() if each)
        hint = _hint(table, found, faults["unknown"])
        raise ValueError(f"`weights` must hold what {what} has; {hint}{told}")


def _hint(
    table: Mapping[str, _torch_layout.Entry], found: Mapping[str, Any], unknown: list[str]
) -> str:
    """What to do about names that are right but for something around them; often nothing."""
    wrapped = [name for name in unknown if bare(name) in table]
    used = [prefix for prefix in _WRAPPERS if any(prefix in name for name in wrapped)]
    if used:
        who = " and ".join(f"{prefix!r} of {_WRAPPERS[prefix]}" for prefix in used)
        taken = "".join(f".replace({prefix!r}, '')" for prefix in used)
        return f"take {who} out of the names: {{n{taken}: a for n, a in weights.items()}}; "
    for name in unknown:
        if isinstance(found[name], Mapping):
            return f"the arrays lie one deeper: give it weights[{listed([name])!r}]; "
    return ""


def bare(name: str) -> str:
    """The name without what PyTorch's wrappers put before it and within it."""
    return re.sub(r"(^|(?<=\.))(module|_orig_mod)\.", "", name)


def _is_float(dtype: Any) -> bool:
    return dtype in _FLOATS if isinstance(dtype, str) else jnp.issubdtype(dtype, jnp.floating)


def listed(names: list[str]) -> str:
    """The first few, on one line: a stranger may have chosen them."""
    short = [n if len(n) <= _LETTERS else f"{n[:_LETTERS]}..." for n in names[:_TOLD]]
    told = ", ".join(n if n.isprintable() else ascii(n) for n in short)
    return told + (f" and {len(names) - _TOLD:,} more" if len(names) > _TOLD else "")

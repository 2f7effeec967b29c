"""What the errors say about weights that do not fit a network, and what to do about it."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx

from jaxcnn.models import _values
from jaxcnn.models._torch.layout import Entry
from jaxcnn.models._torch.report import listed

# What safetensors files call numbers that a network is given; all others are not looked up.
_FILED = {
    **{"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"},
    **{"C64": "complex64", "C128": "complex128"},
}


def values(model: nnx.Module, taken: Iterable[Entry]) -> None:
    """Raises ValueError if a parameter that gets no value has none of its own either."""
    known = {id(entry.variable) for entry in taken}
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


def misfit(entry: Entry, array: Any) -> str:
    """What is wrong with an array for an entry; nothing if it fits."""
    if tuple(array.shape) != entry.shape:
        return f"is {tuple(array.shape)} in place of {entry.shape}"
    kind = jnp.complexfloating if _is(entry.variable.dtype, jnp.complexfloating) else jnp.floating
    if _is(array.dtype, jnp.floating) or _is(array.dtype, kind):
        return ""
    told = "floats" if kind is jnp.floating else "complex numbers"
    return f"holds {array.dtype} in place of {told}"


def refuse(
    what: str,
    missing: Iterable[str],
    unknown: Iterable[str],
    misfits: Mapping[str, str],
    found: Mapping[str, Any],
) -> None:
    """Raises ValueError if anything is wrong, and says all of it at once.

    Args:
      what: the network, and whose names it is looked up under.
      missing: names that are not in the weights.
      unknown: names that are in the weights alone.
      misfits: names and what is wrong with their arrays.
      found: the weights.
    """
    wrong = [f"{name} {why}" for name, why in misfits.items()]
    faults = {"missing": list(missing), "unknown": list(unknown), "misshapen": wrong}
    if any(faults.values()):
        told = "; ".join(f"{kind}: {listed(each)}" for kind, each in faults.items() if each)
        raise ValueError(
            f"`weights` must hold what {what} has; {_hint(faults, misfits, found)}{told}"
        )


def _hint(
    faults: Mapping[str, list[str]], misfits: Mapping[str, str], found: Mapping[str, Any]
) -> str:
    """What to do about weights that are right but for one thing; often nothing."""
    for name in faults["unknown"]:
        if isinstance(found[name], Mapping):
            return f"the arrays lie one deeper: give it weights[{listed([name])!r}]; "
    layers = {name.rpartition(".")[0] for name in misfits}
    only = not faults["missing"] and not faults["unknown"] and len(layers) == 1
    if only and all(" in place of (" in why for why in misfits.values()):
        (layer,) = layers
        return f"skip={layer!r} leaves that layer as it is; "
    return ""


def _is(dtype: Any, kind: Any) -> bool:
    known = _FILED.get(dtype, "int32") if isinstance(dtype, str) else dtype
    return jnp.issubdtype(known, kind)

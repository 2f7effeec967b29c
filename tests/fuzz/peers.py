"""The same call in PyTorch, for the primitives and options that it has."""

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fuzz.calls import Call
from tests.fuzz.checking import Checker, as_tuple, compare
from tests.fuzz.choices import entries
from tests.fuzz.rules import amounts, dilated, span

INSTALLED = importlib.util.find_spec("torch") is not None
if INSTALLED:
    import torch
    from torch.nn import functional as peer

PEERS: dict[str, Callable] = {}
UNKNOWN = None  # what a peer returns for options that PyTorch does not have
DTYPES = ("float64", "float32")


def agree(call: Call, checker: Checker) -> bool:
    """Holds a valid call, which `checker` has just made, against PyTorch.

    Returns:
      False where PyTorch has no such call.
    Raises:
      Disagreement: a value or a gradient differs.
    """
    build = PEERS.get(call.primitive)
    first = next(iter(call.arrays.values()))
    plain = all(v.kind in ("normal", "uniform", "ties") or v.kind.startswith("below")
                for v in call.arrays.values())  # fmt: skip
    if build is None or first.dtype not in DTYPES or not plain or 0 in first.shape:
        return False
    tensors = {name: torch.from_numpy(v.array()) for name, v in call.arrays.items()}
    for name, tensor in tensors.items():
        tensor.requires_grad_(name in checker.last_gradients)
    try:
        made = build(tensors, call)
    except RuntimeError:  # PyTorch has it, and refuses more of its arguments
        return False
    if made is UNKNOWN:
        return False
    made = as_tuple(made)
    for number, (got, want) in enumerate(zip(checker.last_outputs, made, strict=True)):
        compare(f"output {number} beside PyTorch", got, want.detach().numpy(), call.dtypes)
    names = list(checker.last_gradients)
    cotangent = torch.from_numpy(np.array(checker.last_cotangent))
    gradients = torch.autograd.grad(
        made[0], [tensors[n] for n in names], cotangent, allow_unused=True
    )
    for name, want in zip(names, gradients, strict=True):
        if want is not None:
            got = checker.last_gradients[name]
            compare(f"gradient of {name} beside PyTorch", got, want.numpy(), call.dtypes)
    return True


def has(*names: str) -> Callable:
    """Marks what makes the calls of some primitives; it returns `UNKNOWN` for some options."""

    def add(build: Callable) -> Callable:
        for name in names:
            PEERS[name] = build
        return build

    return add


def channels_first(tensor: Any, rank: int) -> tuple[Any, tuple[int, ...]]:
    """`(n, channels, *spatial)`, and the batch axes."""
    batch = tuple(tensor.shape[: tensor.ndim - rank - 1])
    return tensor.reshape(-1, *tensor.shape[-rank - 1 :]).movedim(-1, 1), batch


def channels_last(tensor: Any, batch: tuple[int, ...]) -> Any:
    """Undoes it."""
    last = tensor.movedim(1, -1)
    return last.reshape(*batch, *last.shape[1:])


def laid(call: Call, sizes, window) -> tuple | None:
    """Strides, dilation and pairs of amounts; None for a negative amount."""
    rank, options = len(sizes), call.options
    strides = entries(options.get("strides") or 1, rank)
    rates = entries(options.get("window_dilation", options.get("kernel_dilation", 1)), rank)
    spans = list(map(span, window, rates))
    pairs = amounts(options["padding"], sizes, spans, strides)
    if pairs is None or min(map(min, pairs)) < 0:
        return None
    return strides, rates, pairs


def padded(tensor: Any, pairs, **fill) -> Any:
    """`tensor` padded by PyTorch, whose amounts begin at the last axis."""
    return peer.pad(tensor, [amount for pair in reversed(pairs) for amount in pair], **fill)


def alike(pairs) -> tuple[int, ...] | None:
    """The amounts of each axis where both sides have the same."""
    return tuple(low for low, _ in pairs) if all(low == high for low, high in pairs) else None


@has("conv", "depthwise_conv", "resize_conv")
def conv(t: dict, call: Call) -> Any:
    options, kernel = call.options, t["kernel"]
    rank = kernel.ndim - 2
    if "preferred_element_type" in options:
        return UNKNOWN
    x, batch = channels_first(t["inputs"], rank)
    if call.primitive == "resize_conv":
        scales = entries(options.get("scale", 1), rank)
        sizes = options.get("resized_shape") or [
            n * s for n, s in zip(x.shape[2:], scales, strict=True)
        ]
        method = ("linear", "bilinear", "trilinear")[rank - 1]
        x = peer.interpolate(
            x, tuple(sizes), mode="nearest-exact" if options["method"] == "nearest" else method
        )
    groups = options.get("feature_group_count", 1)
    if call.primitive == "depthwise_conv":
        groups = kernel.shape[-2]
        kernel = kernel.reshape(*kernel.shape[:-2], 1, -1)
    if options.get("flip_kernel"):
        kernel = kernel.flip(tuple(range(rank)))
    rate = entries(options.get("input_dilation", 1), rank)
    sizes = [dilated(n, r) for n, r in zip(x.shape[2:], rate, strict=True)]
    where = laid(call, sizes, kernel.shape[:-2])
    name = options["padding"].lower() if isinstance(options["padding"], str) else ""
    mode = name if name in ("circular", "reflect") else options["padding_mode"]
    if where is None:
        return UNKNOWN
    strides, rates, pairs = where
    if max(rate) > 1:
        wide = x.new_zeros((*x.shape[:2], *sizes))
        wide[(..., *(slice(None, None, r) for r in rate))] = x
        x = wide
    most = min(n - (mode == "reflect") for n in sizes)
    if mode in ("reflect", "circular") and max(map(max, pairs)) > most:
        return UNKNOWN  # it mirrors and wraps around once at most
    x = padded(x, pairs, mode="constant" if mode == "zeros" else mode)
    weights = kernel.movedim((-1, -2), (0, 1)).contiguous()
    convolve = (peer.conv1d, peer.conv2d, peer.conv3d)[rank - 1]
    out = convolve(x, weights, t.get("bias"), stride=strides, dilation=rates, groups=groups)
    return channels_last(out, batch)


@has("conv_transpose")
def conv_transpose(t: dict, call: Call) -> Any:
    options, kernel = call.options, t["kernel"]
    rank, groups = kernel.ndim - 2, call.options["feature_group_count"]
    if isinstance(options["padding"], str) or options["padding_mode"] != "zeros":
        return UNKNOWN
    if "preferred_element_type" in options or "output_shape" in options:
        return UNKNOWN
    x, batch = channels_first(t["inputs"], rank)
    where = laid(call, x.shape[2:], kernel.shape[:-2])
    if where is None or alike(where[2]) is None:
        return UNKNOWN
    strides, rates, pairs = where
    if options["transpose_kernel"]:
        weights = kernel.movedim((-1, -2), (0, 1))
    else:
        flipped = kernel.flip(tuple(range(rank)))  # (*k, in / groups, out)
        parts = [part.movedim((-2, -1), (0, 1)) for part in flipped.chunk(groups, -1)]
        weights = torch.cat(parts, 0)
    weights = weights.contiguous()
    convolve = (peer.conv_transpose1d, peer.conv_transpose2d, peer.conv_transpose3d)[rank - 1]
    out = convolve(
        x, weights, t.get("bias"), stride=strides, padding=alike(pairs),
        output_padding=entries(options["output_padding"], rank), groups=groups, dilation=rates,
    )  # fmt: skip
    return channels_last(out, batch)


@has("max_pool", "min_pool", "max_pool_with_indices")
def max_pool(t: dict, call: Call) -> Any:
    options, window = call.options, call.options["window_shape"]
    rank = len(window)
    x, batch = channels_first(t["inputs"], rank)
    where = laid(call, x.shape[2:], window)
    if options["padding_mode"] != "identity" or where is None or alike(where[2]) is None:
        return UNKNOWN
    strides, rates, pairs = where
    if any(2 * low > k for (low, _), k in zip(pairs, window, strict=True)):
        return UNKNOWN
    pool = (peer.max_pool1d, peer.max_pool2d, peer.max_pool3d)[rank - 1]
    sign = -1 if call.primitive == "min_pool" else 1
    out = pool(
        sign * x, window, strides, alike(pairs), rates, options["ceil_mode"], return_indices=True
    )
    if call.primitive == "max_pool_with_indices":
        return tuple(channels_last(part, batch) for part in out)
    return channels_last(sign * out[0], batch)


@has("avg_pool", "sum_pool")
def avg_pool(t: dict, call: Call) -> Any:
    options, window = call.options, call.options["window_shape"]
    rank = len(window)
    x, batch = channels_first(t["inputs"], rank)
    where = laid(call, x.shape[2:], window)
    if options["padding_mode"] not in ("identity", "zeros") or where is None:
        return UNKNOWN
    strides, rates, pairs = where
    low = alike(pairs)
    if low is None or max(rates) > 1:
        return UNKNOWN
    if any(2 * n > k for n, k in zip(low, window, strict=True)):
        return UNKNOWN
    if rank == 1:  # whose pool knows no divisor
        x, window, strides, low = x[:, :, None], (1, *window), (1, *strides), (0, *low)
    pool = peer.avg_pool3d if rank == 3 else peer.avg_pool2d
    adds = call.primitive == "sum_pool"
    out = pool(
        x, window, strides, low, options["ceil_mode"], adds or options["count_include_pad"],
        1 if adds else options["divisor_override"],
    )  # fmt: skip
    return channels_last(out[:, :, 0] if rank == 1 else out, batch)


@has("lp_pool")
def lp_pool(t: dict, call: Call) -> Any:
    options, window = call.options, call.options["window_shape"]
    rank, p = len(window), options["norm_order"]
    x, batch = channels_first(t["inputs"], rank)
    where = laid(call, x.shape[2:], window)
    # Its norm leaves the magnitude out, and its gradient at a norm of 0 is not 0.
    if where is None or p != 2 or max(map(max, where[2])) or max(where[1]) > 1:
        return UNKNOWN
    if options["ceil_mode"] or call.arrays["inputs"].kind != "normal":
        return UNKNOWN
    pool = (peer.lp_pool1d, peer.lp_pool2d, peer.lp_pool3d)[rank - 1]
    return channels_last(pool(x, p, window if rank > 1 else window[0],
                              where[0] if rank > 1 else where[0][0]), batch)  # fmt: skip


@has("adaptive_avg_pool", "adaptive_max_pool", "adaptive_max_pool_with_indices")
def adaptive(t: dict, call: Call) -> Any:
    shape = call.options["output_shape"]
    rank = len(shape)
    x, batch = channels_first(t["inputs"], rank)
    shape = tuple(n if m is None else m for n, m in zip(x.shape[2:], shape, strict=True))
    if call.primitive == "adaptive_avg_pool":
        pool = (peer.adaptive_avg_pool1d, peer.adaptive_avg_pool2d, peer.adaptive_avg_pool3d)
        return channels_last(pool[rank - 1](x, shape), batch)
    pool = (peer.adaptive_max_pool1d, peer.adaptive_max_pool2d, peer.adaptive_max_pool3d)
    out = pool[rank - 1](x, shape, return_indices=True)
    both = tuple(channels_last(part, batch) for part in out)
    return both if call.primitive.endswith("indices") else both[0]


@has("max_unpool")
def max_unpool(t: dict, call: Call) -> Any:
    rank = len(call.options["window_shape"])
    x, batch = channels_first(t["inputs"], rank)
    places, _ = channels_first(t["indices"].long(), rank)
    sizes = call.options.get("output_shape")
    flat = places.reshape(*places.shape[:2], -1)
    alone = all(len(set(row)) == len(row) for image in flat.tolist() for row in image)
    if sizes is None or not alone:
        return UNKNOWN  # the last of two alike wins by chance there
    out = x.new_zeros((*x.shape[:2], int(np.prod(sizes))))
    out = out.scatter(2, flat, x.reshape(*x.shape[:2], -1))
    return channels_last(out.reshape(*x.shape[:2], *sizes), batch)


@has("unfold", "fold")
def patches(t: dict, call: Call) -> Any:
    options, cuts = call.options, call.primitive == "unfold"
    rank = len(options["window_shape"] if cuts else options["output_shape"])
    if rank != 2:
        return UNKNOWN
    if cuts:
        x, batch = channels_first(t["inputs"], 2)
        sizes, window = tuple(x.shape[2:]), options["window_shape"]
    else:
        p = t["patches"]
        batch, (rows, columns, *window, channels) = p.shape[:-5], p.shape[-5:]
        sizes = options["output_shape"]
    where = laid(call, sizes, window)
    if where is None or alike(where[2]) is None:
        return UNKNOWN
    strides, rates, pairs = where
    named = {"kernel_size": tuple(window), "dilation": rates, "padding": alike(pairs),
             "stride": strides}  # fmt: skip
    if not cuts:
        flat = p.reshape(-1, rows * columns, *window, channels).permute(0, 4, 2, 3, 1)
        flat = flat.reshape(len(flat), -1, rows * columns)
        return channels_last(peer.fold(flat, sizes, **named), tuple(batch))
    out = peer.unfold(x, **named)
    spans = list(map(span, window, rates))
    places = [
        (n + sum(pair) - e) // s + 1
        for n, pair, e, s in zip(sizes, pairs, spans, strides, strict=True)
    ]
    out = out.reshape(len(x), x.shape[1], *window, *places).permute(0, 4, 5, 2, 3, 1)
    return out.reshape(*batch, *out.shape[1:])


@has("space_to_depth", "depth_to_space")
def blocks(t: dict, call: Call) -> Any:
    block = call.options["block_shape"]
    if len(block) != 2 or block[0] != block[1] or call.options["order"] != "CRD":
        return UNKNOWN
    x, batch = channels_first(t["inputs"], 2)
    move = peer.pixel_unshuffle if call.primitive == "space_to_depth" else peer.pixel_shuffle
    return channels_last(move(x, block[0]), batch)


@has("fractional_max_pool", "fractional_max_pool_with_indices")
def fractional(t: dict, call: Call) -> Any:
    window, shape = call.options["window_shape"], call.options["output_shape"]
    rank = len(window)
    if rank == 1:
        return UNKNOWN
    x, batch = channels_first(t["inputs"], rank)
    samples = t["samples"].reshape(-1, x.shape[1], rank)
    samples = samples.flip(-1) if rank == 2 else samples
    pool = peer.fractional_max_pool2d if rank == 2 else peer.fractional_max_pool3d
    out = pool(x, window, shape, _random_samples=samples.to(x.dtype), return_indices=True)
    both = tuple(channels_last(part, batch) for part in out)
    return both if call.primitive.endswith("indices") else both[0]


@has("global_avg_pool", "global_max_pool")
def reduced(t: dict, call: Call) -> Any:
    x = t["inputs"]
    if call.arrays["inputs"].kind == "ties":
        return UNKNOWN  # its gradient is shared out
    axes = call.options["spatial_axes"]
    axes = tuple(range(1, x.ndim - 1)) if axes is None else axes
    fn = torch.mean if call.primitive == "global_avg_pool" else torch.amax
    return fn(x, axes, keepdim=call.options["keepdims"])

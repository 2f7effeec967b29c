"""Where windows lie, against plain enumeration, lax and PyTorch; and what is no geometry."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from jaxcnn import geometry

SIZES, KERNELS, STRIDES, DILATIONS = range(1, 13), range(1, 6), range(1, 5), range(1, 4)
AMOUNTS = range(5)
NAMES = ("SAME", "SAME_LOWER", "VALID", "FULL", "CAUSAL")


def starts_that_fit(size, kernel_size, stride, padding, dilation):
    """First taps of all windows of the padded axis whose every tap lies on it, by trying each."""
    total = size + sum(padding)
    return [
        start
        for start in range(0, total, stride)
        if all(start + tap * dilation < total for tap in range(kernel_size))
    ]


def test_output_sizes_are_the_number_of_windows_that_fit():
    cases = itertools.product(SIZES, KERNELS, STRIDES, DILATIONS, AMOUNTS, AMOUNTS)
    for n, k, s, d, low, high in cases:
        counted = len(starts_that_fit(n, k, s, (low, high), d))
        got = geometry.output_size(n, k, stride=s, padding=(low, high), dilation=d)
        assert got == counted, (n, k, s, d, low, high)


def test_the_last_window_ends_on_the_fitted_padding():
    cases = itertools.product(SIZES, KERNELS, STRIDES, DILATIONS, (0, 2), (0, 3), (False, True))
    for n, k, s, d, low, high, up in cases:
        count = geometry.output_size(n, k, stride=s, padding=(low, high), dilation=d, ceil_mode=up)
        if count < 1:
            continue
        where = geometry.windows(
            (n,), (k,), strides=s, padding=((low, high),), dilation=d, ceil_mode=up
        )
        assert where.output_shape == (count,)
        ((fitted_low, fitted_high),) = where.fitted_padding
        last = (count - 1) * s + (k - 1) * d
        assert fitted_low == low and n + fitted_low + fitted_high == last + 1
        if not up:
            assert starts_that_fit(n, k, s, (low, high), d)[-1] == (count - 1) * s
            assert fitted_high <= high


def test_taps_are_counted_as_they_fall():
    cases = itertools.product((1, 2, 5, 8), (1, 2, 3, 5), STRIDES, DILATIONS, (0, 1, 4), (0, 3))
    for (n, k, s, d, low, high), up in itertools.product(cases, (False, True)):
        if geometry.output_size(n, k, stride=s, padding=(low, high), dilation=d, ceil_mode=up) < 1:
            continue
        where = geometry.windows(
            (n,), (k,), strides=s, padding=((low, high),), dilation=d, ceil_mode=up
        )
        pixels = [  # of the padded axis, as indices of the input
            [i * s + tap * d - low for tap in range(k)] for i in range(where.output_shape[0])
        ]
        inside = [[0 <= pixel < n for pixel in window] for window in pixels]
        padded = [[-low <= pixel < n + high for pixel in window] for window in pixels]
        for tap in range(k):
            assert where.tap_in_input(0, tap) == [window[tap] for window in inside]
        assert where.tap_counts(0, include_padding=False) == list(map(sum, inside))
        assert where.tap_counts(0, include_padding=True) == list(map(sum, padded))
        if 0 in map(sum, inside):
            with pytest.raises(ValueError, match=r"`padding` .* without a pixel of the input"):
                geometry.refuse_window_in_padding(where)
        else:
            geometry.refuse_window_in_padding(where)


def test_input_dilation_is_padded_after_it_spreads():
    for n, rate, k in itertools.product(SIZES, DILATIONS, KERNELS):
        spread = len(range(0, n * rate, rate)) * rate - (rate - 1)
        assert geometry.dilated_size(n, rate) == spread
        for name in NAMES:
            if name == "VALID" and k > spread:
                continue
            direct = geometry.windows((n,), (k,), padding=name, input_dilation=rate)
            by_hand = geometry.windows((spread,), (k,), padding=name)
            assert direct.output_shape == by_hand.output_shape
            assert direct.padding == by_hand.padding
            assert direct.padded() == by_hand.padded()
            assert direct.padded().sizes == (spread + sum(direct.padding[0]),)
    assert geometry.dilated_size(0, 3) == 0


@pytest.mark.parametrize("name", ["SAME", "SAME_LOWER", "VALID"])
def test_padding_strings_are_lax_s(name):
    for n, k, s, d in itertools.product(SIZES, KERNELS, STRIDES, DILATIONS):
        span = d * (k - 1) + 1
        expected = lax.padtype_to_pads((n,), (span,), (s,), name)
        ours = geometry.resolve_padding(name.lower(), (n,), (k,), (s,), (d,))
        assert list(ours) == [tuple(pair) for pair in expected]
        if name != "VALID":
            assert geometry.output_size(n, k, stride=s, padding=ours[0], dilation=d) == -(-n // s)


def test_the_other_strings_and_forms_of_padding():
    def resolve(padding, crop=False):
        return geometry.resolve_padding(padding, (9, 8), (3, 4), (1, 2), (2, 1), crop=crop)

    assert resolve("FULL") == ((4, 4), (3, 3))
    assert resolve(2) == ((2, 2), (2, 2))
    assert resolve((1, 2)) == resolve([1, (2, 2)]) == resolve(np.array([1, 2]))
    assert resolve(((1, 0), (0, 3))) == ((1, 0), (0, 3))
    assert resolve(((-1, 0), -2), crop=True) == ((-1, 0), (-2, -2))
    causal = geometry.resolve_padding("CAUSAL", (9,), (3,), (1,), (2,))
    assert causal == ((4, 0),)


def test_ceil_mode_follows_the_rule():
    """Windows go on while the one before ends before the end; one starting in the padding falls."""
    cases = itertools.product(SIZES, KERNELS, STRIDES, DILATIONS, AMOUNTS, AMOUNTS)
    for n, k, s, d, low, high in cases:
        total, span = n + low + high, d * (k - 1) + 1
        starts = [i * s for i in range(total + 2) if (i - 1) * s + span < total]
        if starts and starts[-1] >= n + low:
            starts.pop()
        got = geometry.output_size(n, k, stride=s, padding=(low, high), dilation=d, ceil_mode=True)
        assert got == len(starts), (n, k, s, d, low, high)


def test_ceil_mode_is_torch_s():
    torch = pytest.importorskip("torch")
    for n, k, s, d in itertools.product(SIZES, KERNELS, STRIDES, DILATIONS):
        signal = torch.zeros(1, 1, n)
        for padding in range(k // 2 + 1):
            got = geometry.output_size(
                n, k, stride=s, padding=(padding, padding), dilation=d, ceil_mode=True
            )
            if got < 1:
                continue
            pooled = torch.nn.functional.max_pool1d(signal, k, s, padding, d, ceil_mode=True)
            assert pooled.shape[-1] == got, (n, k, s, d, padding)


def test_windows_are_the_product_of_their_axes():
    where = geometry.windows((9, 8), (3, 2), strides=(2, 3), padding="SAME", dilation=(1, 4))
    for axis in range(2):
        one = geometry.windows(
            where.sizes[axis : axis + 1],
            where.window_shape[axis : axis + 1],
            strides=where.strides[axis],
            padding=where.padding[axis : axis + 1],
            dilation=where.dilation[axis],
        )
        assert one.output_shape == where.output_shape[axis : axis + 1]
        assert one.fitted_padding == where.fitted_padding[axis : axis + 1]
    assert where.rank == 2 and where.effective_shape == (3, 5)
    assert hash(where) == hash(geometry.windows(**_arguments_of(where)))


def _arguments_of(where):
    return dict(
        sizes=where.sizes,
        window_shape=where.window_shape,
        strides=where.strides,
        padding=where.padding,
        dilation=where.dilation,
    )


def test_whole_numbers_of_every_kind():
    for value in (3, np.int64(3), np.uint8(3), np.array(3)):
        number = geometry.whole_number("x", value)
        assert number == 3 and type(number) is int
    assert geometry.per_axis("x", 2, 3) == (2, 2, 2)
    assert geometry.per_axis("x", np.array([2, 1]), 2) == (2, 1)
    assert geometry.axes_tuple("x", [4, 2]) == (4, 2)
    assert geometry.axes_tuple("x", (4, None), allow_none=True) == (4, -1)


# what no entry of a size, a stride or a dilation may be
no_size = st.one_of(
    st.integers(max_value=0),
    st.floats(),
    st.booleans(),
    st.text(max_size=3),
    st.none(),
    st.binary(max_size=2),
    st.complex_numbers(),
    st.lists(st.integers(1, 3), min_size=1, max_size=2),
    st.dictionaries(st.integers(), st.integers(), max_size=1),
)
fine = st.integers(1, 3)
refused = pytest.raises((ValueError, TypeError), match=r"^`")


@settings(max_examples=150, deadline=None)
@given(entry=no_size, argument=st.sampled_from(["strides", "dilation", "input_dilation"]))
def test_no_option_takes_what_is_no_size(entry, argument):
    listed = isinstance(entry, list) and len(entry) == 2
    for value in ((entry, 1), (1, entry), entry):
        if listed and value is entry:
            continue  # one int per axis after all
        with pytest.raises((ValueError, TypeError), match=rf"^`(window_)?{argument}`"):
            geometry.windows((9, 8), (2, 2), **{argument: value})


@settings(max_examples=100, deadline=None)
@given(entry=no_size, place=st.integers(0, 1))
def test_no_shape_takes_what_is_no_size(entry, place):
    shape = [2, 2]
    shape[place] = entry
    with refused:
        geometry.axes_tuple("window_shape", tuple(shape))
    if not isinstance(entry, list):
        with refused:
            geometry.axes_tuple("window_shape", entry)


no_padding = st.one_of(
    st.text(max_size=6).filter(lambda name: name.upper() not in NAMES),
    st.just("CAUSAL"),
    st.floats(),
    st.booleans(),
    st.none(),
    st.integers(max_value=-1),
    st.tuples(st.integers(0, 3)),
    st.tuples(st.integers(0, 3), st.integers(max_value=-1)),
    st.tuples(st.tuples(st.integers(0, 3)), st.integers(0, 3)),
    st.tuples(st.integers(0, 3), st.text(max_size=2)),
    st.tuples(st.integers(0, 3), st.tuples(fine, fine, fine)),
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.tuples(st.floats(), fine), fine),
)


@settings(max_examples=150, deadline=None)
@given(padding=no_padding)
def test_no_padding_takes_what_is_none(padding):
    with pytest.raises((ValueError, TypeError), match=r"^`padding` \(="):
        geometry.windows((9, 8), (2, 2), padding=padding)


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 6), min_size=2, max_size=2),
    window=st.lists(st.integers(1, 7), min_size=2, max_size=2),
    strides=st.lists(fine, min_size=2, max_size=2),
    dilation=st.lists(fine, min_size=2, max_size=2),
    padding=st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=2),
    crop=st.booleans(),
)
def test_any_numbers_give_what_enumeration_gives_or_our_error(
    sizes, window, strides, dilation, padding, crop
):
    counts = [
        len(starts_that_fit(n, k, s, pair, d))
        for n, k, s, pair, d in zip(sizes, window, strides, padding, dilation, strict=True)
    ]
    options = dict(strides=strides, padding=padding, dilation=dilation, crop=crop)
    negative = min(itertools.chain(*padding)) < 0 and not crop
    if 0 in sizes or 0 in counts or negative:
        with refused:
            geometry.windows(sizes, window, **options)
    else:
        where = geometry.windows(sizes, window, **options)
        assert where.output_shape == tuple(counts)


@pytest.mark.parametrize(
    "error, message, call",
    [
        (
            ValueError,
            r"`window_shape` \(=\(3, 5\)\) spans 9 pixels along spatial axis 1, more than the 8 "
            r"of the padded input; received spatial sizes \(9, 8\), .* pad more or take a smaller",
            lambda: geometry.windows((9, 8), (3, 5), dilation=(1, 2)),
        ),
        (
            ValueError,
            r"`inputs` must have no empty spatial axis; .* axis 1 is empty",
            lambda: geometry.windows((9, 0), (3, 5)),
        ),
        (
            ValueError,
            r"`strides` \(=\(1, 2, 3\)\) must be one int .* each of the 2 spatial axes, got 3",
            lambda: geometry.windows((9, 8), (3, 5), strides=(1, 2, 3)),
        ),
        (
            TypeError,
            r"`shape` \(=3\) must be a tuple .*; for two axes write \(3, 3\)",
            lambda: geometry.axes_tuple("shape", 3),
        ),
        (
            ValueError,
            r"`shape` \(=\(\)\) must name at least one spatial axis",
            lambda: geometry.axes_tuple("shape", ()),
        ),
        (
            ValueError,
            r"`padding` \(='WRAP'\) must be one of SAME, SAME_LOWER, VALID, FULL, CAUSAL, an",
            lambda: geometry.windows((9, 8), (3, 5), padding="WRAP"),
        ),
        (
            ValueError,
            r"`padding` \(=-1\) must not be negative here; slice the inputs to crop them",
            lambda: geometry.windows((9, 8), (3, 5), padding=-1),
        ),
        (
            ValueError,
            r"`x` \(=2.5\) must be a whole number; write an int",
            lambda: geometry.whole_number("x", 2.5),
        ),
        (
            TypeError,
            r"`x` \(='2'\) must be an int, got str",
            lambda: geometry.whole_number("x", "2"),
        ),
    ],
)
def test_messages(error, message, call):
    with pytest.raises(error, match=message):
        call()

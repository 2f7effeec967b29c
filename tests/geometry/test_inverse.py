"""The sizes of a transposed convolution, against the convolution that it transposes."""

import itertools

import pytest

from jaxcnn import geometry

NAMES = ("SAME", "SAME_LOWER", "VALID", "FULL", "CAUSAL")


def forward(size, k, s, d, padding):
    """Number of windows along one axis of the convolution, 0 where there is none."""
    try:
        made = geometry.windows((size,), (k,), strides=s, padding=padding, dilation=d, crop=True)
    except ValueError:
        return 0
    return made.output_shape[0]


def backward(n, k, s, d, padding, **options):
    made = geometry.transposed_windows(
        (n,), (k,), strides=s, padding=padding, dilation=d, crop=True, **options
    )
    return made.sizes[0]


GRID = list(itertools.product((1, 2, 3, 5), (1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3)))


@pytest.mark.parametrize("padding", [*NAMES, 0, 1, ((0, 2),), ((3, 1),), ((-2, 1),)])
def test_exactly_the_sizes_that_the_convolution_takes_back_are_offered(padding):
    for n, k, s, d in GRID:
        fits = {m for m in range(1, 40) if forward(m, k, s, d, padding) == n}
        taken, refused = set(), []
        for m in range(1, 40):
            try:
                taken.add(backward(n, k, s, d, padding, output_shape=m))
            except ValueError as error:
                refused.append(str(error))
        beyond = set()  # reached by dropping windows, where the dilation exceeds the stride
        if padding not in NAMES[:2]:
            e = d * (k - 1) + 1
            ((low, high),) = geometry.resolve_padding(padding, (n,), (k,), (s,), (d,), crop=True)
            beyond = {(n - 1) * s + e - low - high + extra for extra in range(s, d)}
            beyond = {size for size in beyond if size > 0}
        assert taken == fits | beyond, (n, k, s, d)
        listed = ", ".join(map(str, sorted(taken))) or "none"
        assert all(f"along spatial axis 0: {listed};" in message for message in refused)


@pytest.mark.parametrize("padding", [0, 1, 2, ((0, 2),), ((3, 1),), ((-2, 1),)])
def test_explicit_amounts_give_the_smallest_size_and_output_padding_the_others(padding):
    for n, k, s, d in GRID:
        low, high = padding[0] if isinstance(padding, tuple) else (padding, padding)
        smallest = (n - 1) * s + d * (k - 1) + 1 - low - high
        for extra in range(max(s, d)):
            if smallest + extra < 1:
                with pytest.raises(ValueError, match="must leave an output"):
                    backward(n, k, s, d, padding, output_padding=extra)
                continue
            size = backward(n, k, s, d, padding, output_padding=extra)
            assert size == smallest + extra
            if extra < s:
                assert forward(size, k, s, d, padding) == n
        with pytest.raises(ValueError, match=r"`output_padding` .* must be below strides"):
            backward(n, k, s, d, padding, output_padding=max(s, d))


def test_sizes_of_the_names():
    for n, k, s, d in GRID:
        e = d * (k - 1) + 1
        for name in ("SAME", "SAME_LOWER", "CAUSAL", "REFLECT"):
            assert backward(n, k, s, d, name) == n * s
        assert backward(n, k, s, d, "VALID") == n * s + max(e - s, 0)
        for name in NAMES:
            if name != "FULL" or (n - 1) * s + 2 - e > 0:
                assert forward(backward(n, k, s, d, name), k, s, d, name) == n


def test_transposed_windows_give_the_sizes_back():
    made = geometry.transposed_windows(
        (4, 5), (3, 2), strides=(2, 3), padding=((1, 0), (0, 4)), output_padding=(1, 2)
    ).transposed()
    assert made.output_shape == tuple(
        geometry.output_size(n, k, padding=pair)
        for n, k, pair in zip(made.dilated_sizes, (3, 2), made.padding, strict=True)
    )
    assert made.input_dilation == (2, 3) and made.strides == (1, 1)


def test_resized_sizes():
    assert geometry.resized_sizes((4, 5), (2, 3), None) == (8, 15)
    assert geometry.resized_sizes((4, 5), 2, (4, 7)) == (4, 7)
    with pytest.raises(ValueError, match=r"`resized_shape` \(=4\) must be no smaller"):
        geometry.resized_sizes((4, 5), 2, 4)

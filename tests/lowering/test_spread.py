"""Sums at places that data tell: against NumPy's, whatever the places, and what a NaN reaches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.lowering import spread as lowering
from tests.helpers import generator

# name: sizes of the plane, places, how many cells are named
CASES = {
    "few": ((3, 2), 9, None),
    "1d": ((11,), 90, None),
    "two levels": ((4, 3), 100, None),
    "three levels": ((5, 4), 700, None),
    "one cell": ((5, 4), 700, 1),
    "two cells": ((4, 5), 331, 2),
    "3d": ((2, 3, 2), 150, None),
}


def drawn(case):
    sizes, places, named = CASES[case]
    rng = generator(case)
    count = int(np.prod([size + 1 for size in sizes]))
    cells = rng.integers(0, count + 1, (2, 3, places))  # some see nothing
    if named is not None:
        cells = rng.choice(rng.permutation(count)[:named], cells.shape)
    return rng, sizes, cells.astype(np.int32), (2, 3, int(np.prod(sizes)), 2)


def corners_of(sizes, cell):
    """Each corner's number and the pixel that lies there."""
    inner = np.unravel_index(cell, [size + 1 for size in sizes])
    for number, corner in enumerate(np.ndindex(*(2,) * len(sizes))):
        pixel = [a - 1 + end for a, end in zip(inner, corner, strict=True)]
        if all(0 <= p < size for p, size in zip(pixel, sizes, strict=True)):
            yield number, np.ravel_multi_index(pixel, sizes)


def maps(cells, sizes, shape):
    def forward(pixels):
        return lowering.spread(pixels, jnp.asarray(cells), sizes)

    like = jax.ShapeDtypeStruct(shape, jnp.float64)
    return jax.jit(forward), jax.jit(lambda rows: jax.linear_transpose(forward, like)(rows)[0])


@pytest.mark.parametrize("comparisons", [lowering.FEW_COMPARISONS, 0])
@pytest.mark.parametrize("case", CASES)
def test_a_map_and_its_transpose(case, comparisons, monkeypatch):
    monkeypatch.setattr(lowering, "FEW_COMPARISONS", comparisons)
    rng, sizes, cells, shape = drawn(case)
    pixels = rng.standard_normal(shape)
    rows = rng.standard_normal((*cells.shape, 2 ** len(sizes), shape[-1]))
    copies, sums = np.zeros(rows.shape), np.zeros(shape)
    for image, group, place in np.ndindex(*cells.shape):
        cell = cells[image, group, place]
        if cell == np.prod([size + 1 for size in sizes]):
            continue
        for number, pixel in corners_of(sizes, cell):
            copies[image, group, place, number] = pixels[image, group, pixel]
            sums[image, group, pixel] += rows[image, group, place, number]
    forward, transpose = maps(cells, sizes, shape)
    np.testing.assert_array_equal(forward(pixels), copies)
    np.testing.assert_allclose(transpose(rows), sums, rtol=1e-10, atol=1e-10)
    assert "scatter" not in transpose.lower(rows).as_text()


def test_a_nan_reaches_no_other_cell():
    rng, sizes, cells, shape = drawn("three levels")
    rows = rng.standard_normal((*cells.shape, 4, 2))
    reached = np.zeros(shape, bool)
    for image, group, place in ((0, 0, 5), (1, 2, 600)):
        rows[image, group, place] = np.nan
        for _, pixel in corners_of(sizes, cells[image, group, place]):
            reached[image, group, pixel] = True
    _, transpose = maps(cells, sizes, shape)
    np.testing.assert_array_equal(np.isnan(transpose(rows)), reached)

"""The largest batch, by a line through two."""

import pytest

from experiments.compile.fitting import largest_batch, pair


def needs(batch):
    """1,000 bytes, and 10 more an image; of 400 images and more the compiler refuses to say."""
    return None if batch >= 400 else 1000 + 10 * batch


@pytest.mark.parametrize(
    ("batch", "allowed", "most", "drawn"),
    [
        (64, 3000, 200, (32, 64)),
        (64, 3079, 200, (32, 64)),  # a multiple of 8
        (8, 3000, 200, (8, 16)),
        (800, 3000, 200, (96, 200)),
        (64, 900, 0, (32, 64)),
    ],
)
def test_it_is_where_the_line_meets_what_is_allowed(batch, allowed, most, drawn):
    assert largest_batch(needs, batch, 8, allowed) == (most, drawn)


def test_no_line():
    assert largest_batch(lambda batch: None, 64, 8, 1000) is None
    assert largest_batch(lambda batch: 500.0, 64, 8, 1000) is None


def test_the_two_are_different_multiples():
    assert [pair(batch, 8) for batch in (1, 8, 24, 64)] == [(8, 16), (8, 16), (8, 24), (32, 64)]

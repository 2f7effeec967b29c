"""Augmentation against loops over the images with the same draws."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.commands.command import UserError
from experiments.training.augment import (
    Augmentation,
    alternating_sides,
    augment,
    cutout,
    flip_where,
    mixup,
    move,
    random_sides,
)

pytestmark = pytest.mark.usefixtures("plain_jax")
KEY = jax.random.key(7)
MOVE = jax.jit(move, static_argnames=("pixels", "fill"))
FLIP = jax.jit(flip_where)
CUTOUT = jax.jit(cutout, static_argnums=2)
MIXUP = jax.jit(mixup, static_argnames="alpha")
AUGMENT = jax.jit(augment, static_argnums=0)


@pytest.fixture
def images(rng):
    return rng.integers(1, 256, (40, 7, 5, 2)).astype(np.uint8)


@pytest.mark.parametrize(
    ("fill", "options"),
    [("constant", {}), ("edge", {"mode": "edge"}), ("reflect", {"mode": "reflect"})],
)
@pytest.mark.parametrize("pixels", [1, 3])
def test_move_is_pad_and_cut(images, fill, options, pixels):
    masks = images[..., :1] + np.uint8(1)
    moved = MOVE(KEY, images, masks, pixels=pixels, fill=fill)
    corners = np.asarray(jax.random.randint(KEY, (40, 2), 0, 2 * pixels + 1))
    assert len(np.unique(corners)) == 2 * pixels + 1
    for before, after in zip((images, masks), moved, strict=True):
        assert after.dtype == np.uint8
        for image, result, (i, j) in zip(before, np.asarray(after), corners, strict=True):
            padded = np.pad(image, ((pixels, pixels), (pixels, pixels), (0, 0)), **options)
            np.testing.assert_array_equal(result, padded[i : i + 7, j : j + 5])


def test_random_flip(images):
    sides = np.asarray(random_sides(KEY, images))
    (flipped,) = np.asarray(FLIP(sides, images))
    assert 10 < int(sides.sum()) < 30
    for image, result, side in zip(images, flipped, sides, strict=True):
        np.testing.assert_array_equal(result, image[:, ::-1] if side else image)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "bfloat16"])
def test_alternating_flip_shows_the_other_side_every_epoch(rng, dtype):
    images = (16 * rng.integers(0, 16, (2000, 8, 8, 1))).astype(jnp.dtype(dtype))
    find = jax.jit(alternating_sides)
    first = np.asarray(find(images, 0))
    assert abs(first.mean() - 0.5) < 0.04  # 3.6 standard deviations
    for epoch in (1, 2, 7):
        sides = find(images, epoch)
        np.testing.assert_array_equal(sides, first ^ (epoch % 2 == 1))
    order = rng.permutation(2000)  # the side is the image's own, wherever it stands
    np.testing.assert_array_equal(find(images[order], 0), first[order])


def test_cutout_is_a_clipped_square(images):
    result = np.asarray(CUTOUT(KEY, images, 4))
    middles = np.asarray(jax.random.randint(KEY, (40, 2), 0, np.array([7, 5])))
    for image, after, (i, j) in zip(images, result, middles, strict=True):
        expected = image.copy()
        expected[max(0, i - 2) : i + 2, max(0, j - 2) : j + 2] = 0
        np.testing.assert_array_equal(after, expected)


def test_mixup_blends_images_and_labels_by_one_share(images, rng):
    labels = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 40)]
    mixed, targets = (np.asarray(a) for a in MIXUP(KEY, images, labels, 0.4))
    shares = np.asarray(jax.random.beta(KEY, 0.4, 0.4, (40,), jnp.float32))
    assert mixed.dtype == np.float32 and len(np.unique(shares)) == 40
    for n, share in enumerate(shares):
        expected = share * images[n].astype(float) + (1 - share) * images[n - 1].astype(float)
        np.testing.assert_allclose(mixed[n], expected, atol=1e-4)  # float32 of 0 to 255
        expected = share * labels[n] + (1 - share) * labels[n - 1]
        np.testing.assert_allclose(targets[n], expected, atol=1e-6)
    np.testing.assert_allclose(targets.sum(-1), 1, atol=1e-6)


def test_all_in_their_order_and_again_the_same(images, rng):
    options = Augmentation(shift=1, flip="random", crop=3, cutout=4, mixup=0.4)
    labels, masks = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 40)], images[..., :1]
    keys = jax.random.split(KEY, 5)
    (expected,) = FLIP(random_sides(keys[0], images), images)
    expected, _ = MOVE(keys[1], expected, masks, pixels=1, fill="constant")
    expected, _ = MOVE(keys[2], expected, masks, pixels=3, fill="reflect")
    expected = MIXUP(keys[4], CUTOUT(keys[3], expected, 4), labels, 0.4)
    apply = jax.jit(functools.partial(augment, options))
    result = apply(KEY, images, labels, 0)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), result, expected)
    again = apply(KEY, images, labels, 0)
    jax.tree.map(np.testing.assert_array_equal, result, again)
    other = apply(jax.random.key(8), images, labels, 0)
    assert not np.array_equal(result[0], other[0])


def test_scanned_and_mapped(images):
    """Over the keys and the epochs, as a jitted epoch does."""
    options = Augmentation(shift=1, flip="alternating", cutout=3)
    keys, epochs, labels = jax.random.split(KEY, 2), jnp.arange(2), np.zeros(40, np.int32)
    apply = jax.jit(lambda key, epoch: augment(options, key, images, labels, epoch)[0])
    each = np.stack([apply(key, epoch) for key, epoch in zip(keys, epochs, strict=True)])
    scanned = jax.lax.scan(lambda carry, at: (carry, apply(*at)), 0, (keys, epochs))[1]
    np.testing.assert_array_equal(scanned, each)
    np.testing.assert_array_equal(jax.vmap(apply)(keys, epochs), each)


@pytest.mark.parametrize("flip", ["random", "alternating"])
def test_masks_move_with_their_images(rng, flip):
    masks = rng.integers(0, 200, (30, 9, 8)).astype(np.uint8)
    images = np.stack([masks, 255 - masks], axis=-1)  # so that where a pixel went can be seen
    options = Augmentation(shift=2, flip=flip, crop=3)
    images, moved = map(np.asarray, AUGMENT(options, KEY, images, masks, 3))
    np.testing.assert_array_equal(images[..., 0], moved)
    np.testing.assert_array_equal(images[..., 1], 255 - moved)
    assert moved.dtype == np.uint8 and not np.array_equal(moved, masks)


def test_nothing_by_default_and_signals_and_no_images(images, rng):
    labels = rng.integers(0, 3, 40)
    same, targets = augment(Augmentation(), KEY, images, labels, 0)
    assert same is images and targets is labels
    signals = rng.normal(size=(6, 11, 1)).astype(np.float32)
    options = Augmentation(shift=1, flip="alternating", crop=1, cutout=2)
    result, _ = AUGMENT(options, KEY, signals, labels[:6], 1)
    assert result.shape == signals.shape and (np.asarray(result) == 0).any()
    result, _ = AUGMENT(options, KEY, images[:0], labels[:0], 1)
    assert result.shape == (0, 7, 5, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shift": -1}, r"--shift \(=-1\) must be 0 or more pixels"),
        ({"flip": "up"}, r"--flip \(=up\) must be one of none, random, alternating"),
        ({"mixup": float("nan")}, r"--mixup \(=nan\) must be 0"),
        ({"crop": 5}, r"--crop \(=5\) must be less than the sides of the images, which are 7x5"),
    ],
)
def test_bad_options(options, message, images):
    with pytest.raises(UserError, match=message):
        augment(Augmentation(**options), KEY, images, np.zeros(40, np.int32), 0)


@pytest.mark.parametrize("option", ["cutout", "mixup"])
def test_masks_refuse_what_would_part_them_from_the_image(option, images):
    with pytest.raises(UserError, match=rf"--{option} \(=1\) does not go with masks"):
        augment(Augmentation(**{option: 1}), KEY, images, images[..., 0], 0)


def test_mixup_refuses_numbers_of_classes(images):
    with pytest.raises(UserError, match="--mixup .* targets that are probabilities"):
        augment(Augmentation(mixup=1), KEY, images, np.zeros(40, np.int32), 0)

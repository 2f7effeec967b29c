"""Kernels and feature maps."""

import numpy as np
import pytest

from jaxcnn import visualize


def test_kernels_of_one_channel_share_a_scale(rng):
    kernel = rng.normal(size=(5, 3, 1, 6))
    figure = visualize.kernels(kernel, columns=4)
    images = [axes.images[0] for axes in figure.axes if axes.images]
    np.testing.assert_array_equal(images[4].get_array(), kernel[..., 0, 4])
    assert {image.get_clim() for image in images} == {(-abs(kernel).max(), abs(kernel).max())}
    assert figure.get_suptitle() == "Kernels, 5×3, 1 to 6 channels"
    figure.canvas.draw()


def test_kernels_of_three_channels_are_coloured(rng):
    kernel = rng.normal(size=(3, 3, 3, 2))
    picture = visualize.kernels(kernel).axes[1].images[0].get_array()
    np.testing.assert_allclose(picture, 0.5 + 0.5 * kernel[..., 1] / abs(kernel).max())


def test_other_kernels_are_drawn_channel_by_channel(rng):
    kernel = rng.normal(size=(3, 3, 2, 4))
    figure = visualize.kernels(kernel, most=6)
    assert [ax.get_title() for ax in figure.axes[:6]][:3] == ["0 to 0", "1 to 0", "0 to 1"]
    assert figure.get_suptitle().endswith("2 to 4 channels, the first 6 of 8")


def test_feature_maps_have_a_row_a_layer(rng):
    maps = {"conv": rng.normal(size=(6, 5, 3)), "pool": rng.normal(size=(3, 2, 9))}
    maps = {**maps, "logits": rng.normal(size=(1, 4))}
    figure = visualize.feature_maps(maps, most=4)
    grids = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    np.testing.assert_array_equal(grids[1], maps["conv"][..., 1])
    maps["conv"] = maps["conv"][None]
    same = visualize.feature_maps(maps, most=4).axes[1].images[0].get_array()
    np.testing.assert_array_equal(same, grids[1])
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == [
        "conv\n6×5\n3 of 3",
        "pool\n3×2\n4 of 9",
    ]
    figure.canvas.draw()


def test_errors(rng):
    with pytest.raises(ValueError, match=r"kernels: `kernel` must be .*received \(3, 3, 1\)"):
        visualize.kernels(np.ones((3, 3, 1)))
    for argument in ("columns", "most"):
        with pytest.raises(ValueError, match=rf"kernels: `{argument}` \(=0\)"):
            visualize.kernels(np.ones((3, 3, 1, 1)), **{argument: 0})
    with pytest.raises(ValueError, match=r"feature_maps: `a` must be .*\(2, 3, 3, 1\)"):
        visualize.feature_maps({"a": np.ones((2, 3, 3, 1))})
    with pytest.raises(ValueError, match="feature_maps: `maps` must hold at least one"):
        visualize.feature_maps({"logits": np.ones((1, 10))})
    with pytest.raises(ValueError, match=r"feature_maps: `most` \(=0\)"):
        visualize.feature_maps({"a": np.ones((3, 3, 1))}, most=0)

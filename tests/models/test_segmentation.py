"""Networks that give logits for every pixel."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import nn
from jaxcnn.models import DilatedContext, UNet


def test_unet_steps_on_images_of_any_size(trained, rng):
    build = functools.partial(
        UNet,
        3,
        widths=(4, 6),
        upsampling="resize",
        norm=nn.batch_norm,
        dropout=0.1,
        remat=True,
    )
    model, logits, largest = trained(build, rng.normal(size=(2, 9, 14, 3)))
    assert logits.shape == (2, 9, 14, 3)
    assert largest["features"]["down2"]["conv2"]["conv"]["kernel"][...] > 0


def test_unpadded_unet_is_the_middle_of_the_padded_one(filled, rng):
    images = rng.normal(size=(2, 22, 24, 2)).astype(np.float32)

    @functools.partial(nnx.jit, static_argnums=1)
    def maps(model, _):
        return model.feature_maps(images), model(images)

    padded, valid = (
        jax.device_get(
            maps(
                filled(functools.partial(UNet, 3, in_features=2, widths=(4, 6), padding=padding)),
                padding,
            )
        )
        for padding in ("SAME", "VALID")
    )
    assert valid[1].shape == (2, 6, 8, 3)
    np.testing.assert_allclose(valid[1], padded[1][:, 8:-8, 8:-8], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        valid[0]["down2"], padded[0]["down2"][:, 3:-3, 3:-3], rtol=1e-4, atol=1e-4
    )


def test_dilated_context_steps_on_images_of_any_size(trained, rng):
    build = functools.partial(
        DilatedContext,
        3,
        widths=(2, 3, 4, 4, 4),
        hidden_features=5,
        context="large",
        dropout=0.1,
        remat=True,
    )
    model, logits, largest = trained(build, rng.normal(size=(2, 17, 30, 3)), vmapped=False)
    assert logits.shape == (2, 17, 30, 3)
    assert model.features.stage5.conv1.conv.kernel_dilation == 2
    assert largest["features"]["dense"]["conv1"]["conv"]["kernel"][...] > 0
    assert largest["classifier"]["context"]["branch"]["conv6"]["kernel"][...] > 0


def test_dilated_context_lays_scores_over_their_pixels(filled, rng):
    # One class whose scores rise from left to right: between the centres of the outer scores'
    # 8x8 pixels the logits are linear.
    model = filled(
        functools.partial(DilatedContext, 1, widths=(2,) * 5, hidden_features=2, context=None)
    )
    model.eval()

    def ramp(inputs):
        del inputs
        return jnp.asarray(np.broadcast_to(np.float32([0, 1, 2])[:, None], (2, 3, 1)))

    model.classifier = ramp
    model.features = ramp
    logits = np.asarray(model(np.zeros((16, 21, 3), np.float32)))[5, :, 0]
    expected = np.clip((np.arange(21) + 0.5) / 8 - 0.5, 0, 2)
    np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_dilated_context_interpolates_without_products_of_matrices():
    """XLA 0.10.2 for GPUs fails on those of `jax.image.resize`."""
    build = functools.partial(DilatedContext, 3, widths=(2, 3, 4, 4, 4), hidden_features=5)
    model = nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0)))
    images = jax.ShapeDtypeStruct((2, 24, 40, 3), np.float32)
    graph, state = nnx.split(model)
    traced = jax.jit(lambda state, images: nnx.merge(graph, state)(images)).trace(state, images)
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert "stablehlo.convolution" in text and "stablehlo.dot" not in text


@pytest.mark.parametrize("network", [UNet, DilatedContext])
def test_dtypes_and_names(network):
    model = nnx.eval_shape(lambda: network(4, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)))
    images = jax.ShapeDtypeStruct((2, 33, 40, 3), jnp.float32)
    logits = nnx.eval_shape(lambda m, x: m(x), model, images)
    assert logits.shape == (2, 33, 40, 4) and logits.dtype == jnp.bfloat16
    assert {p.dtype for p in jax.tree.leaves(nnx.state(model, nnx.Param))} == {jnp.dtype("float32")}

    names = []

    def maps(model, images):
        maps = model.feature_maps(images)
        names.extend(maps)
        return list(maps.values())

    sizes = [value.shape[1] for value in nnx.eval_shape(maps, model, images)]
    if network is UNet:
        assert names == [f"down{i}" for i in range(1, 6)] + [f"up{i}" for i in range(4, 0, -1)]
        assert sizes == [33, 17, 9, 5, 3, 5, 9, 17, 33]
    else:
        assert names == [f"stage{i}" for i in range(1, 6)] + ["dense", "scores", "context"]
        assert sizes == [17, 9, 5, 5, 5, 5, 5, 5]


BAD = [
    (UNet, dict(padding="FULL"), ValueError, "`padding` .='FULL'. must be one of SAME, VALID"),
    (UNet, dict(upsampling="unpool"), ValueError, "`upsampling` .='unpool'. must be one of"),
    (UNet, dict(widths=4), TypeError, "`widths` .=4. must be a tuple"),
    (UNet, dict(num_classes=0), ValueError, "`num_classes` .=0. must be at least 1"),
    (UNet, dict(dropout=-1), ValueError, "`dropout` .=-1. must be between 0 and 1"),
    (DilatedContext, dict(widths=(4, 4)), ValueError, "`widths` .=.4, 4.. must have five entries"),
    (DilatedContext, dict(context="huge"), ValueError, "`context` .='huge'. must be one of"),
    (DilatedContext, dict(dropout="1"), TypeError, "`dropout` .='1'. must be a number"),
    (DilatedContext, dict(rngs={"params": 0}), ValueError, "`rngs` must have a stream 'dropout'"),
]


@pytest.mark.parametrize("network, options, error, message", BAD)
def test_bad_options_are_refused(network, options, error, message):
    streams = options.get("rngs", {"default": 0})
    options = {name: value for name, value in options.items() if name != "rngs"}
    with pytest.raises(error, match=f"{network.__name__}: {message}"):
        nnx.eval_shape(lambda: network(rngs=nnx.Rngs(**streams), **options))


def test_images_too_small_for_unpadded_convolutions_are_refused():
    widths = (4,) * 5
    model = nnx.eval_shape(lambda: UNet(widths=widths, padding="VALID", rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="UNet: `inputs` must have 188 pixels or more.*'VALID'"):
        model(np.ones((1, 187, 200, 3), np.float32))
    outputs = nnx.eval_shape(lambda m: m(jnp.ones((188, 190, 3), jnp.float32)), model)
    assert outputs.shape == (4, 4, 2)

"""Which models take weights of PyTorch's: abstract ones, laid over devices, of a user's class."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import models, nn
from jaxcnn.models import ConvNeXtTiny
from tests.models.test_torch_weights import empty, entries, small

MESH = jax.make_mesh((1, 1), ("data", "model"), (jax.sharding.AxisType.Auto,) * 2)
KERNEL = "features.0.0.weight", lambda model: model.features.stem.conv.kernel


def expected(name="classifier.2.weight"):
    return entries()[name].T


def dropping(network=ConvNeXtTiny, **options):
    """Two blocks, the last of which is dropped at times, without values."""
    return nnx.eval_shape(
        lambda: network(
            3, depths=(1, 1), widths=(4, 4), stochastic_depth=0.5, rngs=nnx.Rngs(5), **options
        )
    )


def weights_of(model):
    """A state dict that suits it."""
    table = models.torch_weights._table(model, "torchvision", None)
    rng = np.random.default_rng(0)
    return {n: rng.normal(size=entry.shape).astype(np.float32) for n, entry in table.items()}


@pytest.mark.parametrize("remat", [False, True], ids=["", "remat"])
def test_an_abstract_model_can_be_used_at_once(remat):
    """Evaluated and trained under `nnx.jit`: dropouts have keys too, each its own."""
    model = dropping(remat=remat)
    models.load_torch(model, weights_of(model))
    assert not [
        leaf for leaf in jax.tree.leaves(nnx.state(model)) if isinstance(leaf, jax.ShapeDtypeStruct)
    ]
    images = np.ones((2, 8, 8, 3), np.float32)
    run = nnx.jit(lambda model, x: model(x))
    model.eval()
    logits = run(model, images)
    model.train()
    assert np.isfinite(logits).all() and run(model, images).shape == (2, 3)
    counts = [int(count) for count in jax.tree.leaves(nnx.state(model, nnx.RngCount))]
    assert counts == [1]


def test_keys_come_from_the_streams_given():
    def keys(rngs=None, build=lambda: models.VGG(11, 3, hidden_features=4, rngs=nnx.Rngs(0))):
        model = nnx.eval_shape(build)
        _ = [stream for _, stream in nnx.iter_graph(model) if isinstance(stream, nnx.RngStream)]
        models._values.fill_streams(model, rngs or nnx.Rngs(0))
        return [
            jax.random.key_data(key[...]).tolist()
            for _, key in nnx.to_flat_state(nnx.state(model, nnx.RngKey))
        ]

    first, other = keys(), keys(nnx.Rngs(dropout=7))
    assert first == keys() and len(first) == 2 and first[0] != first[1]
    assert not any(key in first for key in other)
    with pytest.raises(ValueError, match="load_torch: `rngs` must have a stream 'dropout'"):
        models.load_torch(empty(small), entries(), rngs=nnx.Rngs(params=0))
    with pytest.raises(TypeError, match="load_torch: `rngs` must be flax.nnx.Rngs, got int"):
        models.load_torch(empty(small), entries(), rngs=3)


def test_keys_that_are_there_stay(filled):
    build = functools.partial(ConvNeXtTiny, 3, depths=(1, 1), widths=(4, 4), stochastic_depth=0.5)
    model = filled(build)
    stream = model.features.stage2.block1.drop.rngs
    stream.key.set_value(jax.random.key(9))
    stream.count.set_value(jnp.uint32(4))
    models.load_torch(model, weights_of(model), rngs=nnx.Rngs(0))
    assert int(stream.count[...]) == 4 and stream.key[...] == jax.random.key(9)


def test_parameters_stay_where_they_lie(filled):
    model = filled(small)
    split = jax.NamedSharding(MESH, jax.P(None, None, None, "model"))
    kernel = KERNEL[1](model)
    kernel.set_value(jax.device_put(kernel[...], split))
    device = jax.devices()[0]
    bias = model.classifier.fc.bias
    bias.set_value(jax.device_put(bias[...], device))
    models.load_torch(model, entries())
    assert kernel[...].sharding == split
    assert bias[...].committed and bias[...].sharding.device_set == {device}
    assert not model.classifier.fc.kernel[...].committed
    np.testing.assert_array_equal(kernel[...], entries()[KERNEL[0]].transpose(2, 3, 1, 0))


def test_abstract_parameters_go_where_they_were_said_to_lie():
    names = (None, None, None, "model")
    split = jax.NamedSharding(MESH, jax.P(*names))
    shaped = empty(small)
    kernel = KERNEL[1](shaped)
    kernel.set_value(jax.ShapeDtypeStruct(kernel.shape, kernel.dtype, sharding=split))

    named = empty(small)
    KERNEL[1](named).set_metadata(out_sharding=names, mesh=MESH)

    within = empty(small)
    KERNEL[1](within).set_metadata(out_sharding=("rows", None, None, "columns"))
    rules = nnx.logical_axis_rules((("rows", None), ("columns", "model")))

    for model in (shaped, named):
        models.load_torch(model, entries())
        assert KERNEL[1](model)[...].sharding == split
        assert not model.classifier.fc.kernel[...].committed
    with jax.set_mesh(MESH), rules:
        models.load_torch(within, entries())
    assert KERNEL[1](within)[...].sharding == split


def test_a_mesh_that_is_not_there_is_asked_for():
    """`nnx.eval_shape` within `jax.set_mesh` notes the names of its axes alone."""

    def build():
        model = small(rngs=nnx.Rngs(0))
        kernel = model.classifier.fc.kernel
        model.classifier.fc.kernel = nnx.Param(kernel[...], out_sharding=("model", None))
        return model

    with jax.set_mesh(MESH):
        model = nnx.eval_shape(build)
    with pytest.raises(ValueError, match="over the mesh {'data': 1, 'model': 1}, .*within the sa"):
        models.load_torch(model, entries())
    assert isinstance(model.classifier.fc.bias.get_value(), jax.ShapeDtypeStruct)
    with jax.set_mesh(MESH):
        models.load_torch(model, entries())
    assert model.classifier.fc.kernel[...].sharding.spec == jax.P("model", None)
    np.testing.assert_array_equal(model.classifier.fc.kernel[...], expected())


class Mine(ConvNeXtTiny):
    """A user's class, with a layer that PyTorch does not know."""

    def __init__(self, *args, rngs, **options):
        super().__init__(*args, rngs=rngs, **options)
        self.extra = nn.Conv(3, 3, (1, 1), rngs=rngs)

    def __call__(self, inputs):
        return super().__call__(self.extra(inputs))


def test_classes_made_from_a_network_are_taken(filled, tmp_path):
    pytest.importorskip("safetensors")
    options = dict(depths=(1,), widths=(4,), stochastic_depth=0.0)
    model = filled(functools.partial(Mine, 3, **options))
    extra = np.asarray(model.extra.kernel[...])
    models.load_torch(model, entries())
    np.testing.assert_array_equal(model.classifier.fc.kernel[...], expected())
    np.testing.assert_array_equal(model.extra.kernel[...], extra)
    models.save_torch(model, tmp_path / "mine.safetensors")
    plain = empty(small)
    models.load_torch(plain, tmp_path / "mine.safetensors")
    np.testing.assert_array_equal(plain.classifier.fc.kernel[...], expected())

    abstract = empty(functools.partial(Mine, 3, **options))
    message = "load_torch: `model` has parameters .*: extra.bias, extra.kernel; give them values"
    with pytest.raises(ValueError, match=message):
        models.load_torch(abstract, entries())
    assert isinstance(abstract.classifier.fc.bias.get_value(), jax.ShapeDtypeStruct)
    nnx.update(abstract.extra, nnx.state(model.extra))
    models.load_torch(abstract, entries())
    del model.features.stem
    for call in (models.load_torch, models.save_torch):
        with pytest.raises(TypeError, match="_torch: `model` must have the layers of ConvNeXtTiny"):
            call(model, entries() if call is models.load_torch else tmp_path / "other")


@pytest.mark.parametrize("pattern", ["module.{}", "_orig_mod.{}", "module._orig_mod.model.{}"])
def test_names_that_wrappers_put_around_do_not_matter(pattern):
    model = empty(small)
    weights = {pattern.format(name): value for name, value in entries().items()}
    weights[pattern.format("features.0.1.num_batches_tracked")] = np.int64(3)
    report = models.load_torch(model, weights)
    assert (pattern.format("classifier.2.bias"), "classifier.fc.bias") in report.taken
    assert report.names == "torchvision" and not report.skipped and not report.missing
    np.testing.assert_array_equal(model.classifier.fc.kernel[...], expected())


def test_wrappers_within_do_not_matter_and_dicts_around_are_told():
    inner = {n.replace("features.", "features._orig_mod."): a for n, a in entries().items()}
    models.load_torch(empty(small), inner)
    twice = inner | {"features.0.0.weight": entries()["features.0.0.weight"]}
    with pytest.raises(ValueError, match="unknown: features._orig_mod.0.0.weight"):
        models.load_torch(empty(small), twice)
    with pytest.raises(ValueError, match="lie one deeper: give it weights.'state_dict'.; missing"):
        models.load_torch(empty(small), {"epoch": 3, "state_dict": entries()})


def test_nothing_half_written_is_left(filled, tmp_path, monkeypatch):
    safetensors = pytest.importorskip("safetensors")
    model, path = filled(small), tmp_path / "file.safetensors"
    with pytest.raises(
        ValueError, match="save_torch: `model` has no values for classifier.fc.bias"
    ):
        models.save_torch(empty(small), path)
    with pytest.raises(
        FileNotFoundError, match="save_torch: `path` .*must lie in a folder that is"
    ):
        models.save_torch(model, tmp_path / "no" / "file")
    with pytest.raises(FileExistsError, match="save_torch: `path` .* must be that of a file"):
        models.save_torch(model, tmp_path)
    with pytest.raises(TypeError, match="save_torch: `path` must be the path of a file, got int"):
        models.save_torch(model, 3)
    assert not list(tmp_path.iterdir())
    models.save_torch(model, str(path))
    whole = path.read_bytes()

    def full(arrays, where, metadata):
        with open(where, "wb") as file:
            file.write(b"half")
        raise safetensors.SafetensorError("No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(OSError, match="save_torch: `path` .* could not be written: No space left"):
        models.save_torch(model, path)
    assert [each.name for each in tmp_path.iterdir()] == ["file.safetensors"]
    assert path.read_bytes() == whole

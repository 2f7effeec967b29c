"""Images and rows split over eight simulated devices, where it is asked for and nowhere else."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxcnn import functional as F
from jaxcnn import nn, sharding
from jaxcnn.testing import as_on
from tests.functional.image_cases import CASES, IMAGES, expected, fitting, images_of, pulled

pytestmark = pytest.mark.eight_devices

P = PartitionSpec
ROWS = P("data", "space")
split = functools.partial(sharding.split, batch="data", rows="space")
listed = sharding.__doc__.split("By rows are split:")[1]
by_rows, others = listed.split("along the first spatial axis")
BY_ROWS = set(re.findall(r"`(\w+)`", by_rows))
# What the halo, a stated tangent, arrays beside the images and the padding make of odd numbers.
SOME = (
    "conv",
    "conv_transpose",
    "grey_dilation",
    "logsumexp_pool",
    "max_pool",
    "max_pool_with_indices",
    "partial_conv",
    "stochastic_pool",
)


def splits(lowered, axis="space"):
    """Whether a lowered program splits arrays over an axis of the mesh."""
    return re.search(rf'\[[^\]]*\{{"{axis}"[^}}]*\}}', lowered) is not None


def auto(spec="data=2,space=4"):
    return sharding.make_mesh(spec)


def in_shard_map(function, arrays, mesh):
    """The function on the images of each device along "m", by the caller's `shard_map`."""
    specs = {n: P("m") if n in IMAGES else P() for n in arrays}
    mapped = jax.shard_map(
        lambda arrays: function(**arrays),
        mesh=mesh,
        in_specs=(specs,),
        out_specs=P("m"),
        axis_names={"m"},
    )
    return lambda **arrays: mapped(arrays)


def split_by_xla(function, mesh):
    """The function of images whose rows lie on different devices already."""
    rows = NamedSharding(mesh, ROWS)

    def call(**arrays):
        return function(
            **{
                n: jax.lax.with_sharding_constraint(a, rows) if n in IMAGES and a.ndim > 3 else a
                for n, a in arrays.items()
            }
        )

    return call


def check(name, mesh, spec, count=None, manual=False, laid=False):
    """Holds a case against the reference, and says what was lowered."""
    outputs, cotangent, gradients = expected(name, count)
    arrays = {
        n: jax.device_put(a, fitting(mesh, spec if n in IMAGES else P(), a))
        for n, a in images_of(name, count).items()
    }
    function = functools.partial(getattr(F, name), **CASES[name][1])
    if manual:
        function = in_shard_map(function, arrays, mesh)
    if laid:
        function = split_by_xla(function, mesh)
    with split(mesh):
        lowered = jax.jit(functools.partial(pulled, function)).lower(arrays, cotangent)
        found = lowered.compile()(arrays, cotangent)
    for want, got in zip(outputs, found[0], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-11)
    assert found[1].keys() == gradients.keys()
    for of, want in gradients.items():
        np.testing.assert_allclose(found[1][of], want, rtol=1e-11, atol=1e-11, err_msg=of)
    return lowered.as_text(), found


@pytest.mark.parametrize("name", CASES)
def test_auto(name):
    check(name, auto(), P("data"), laid=True)


@pytest.mark.parametrize("name", CASES)
def test_explicit(name):
    lowered, (outputs, gradients) = check(name, jax.make_mesh((2, 4), ("data", "space")), P("data"))
    assert splits(lowered) == (name in BY_ROWS)
    for array in (outputs[0], *(gradients[n] for n in gradients.keys() & IMAGES)):
        assert jax.typeof(array).sharding.spec[0] == "data"


@pytest.mark.parametrize("name", CASES)
def test_within_the_callers_shard_map(name):
    kinds = (AxisType.Auto,) * 3
    mesh = jax.make_mesh((2, 2, 2), ("m", "data", "space"), kinds)
    lowered, _ = check(name, mesh, P("m"), manual=True)
    assert splits(lowered) == (name in BY_ROWS)


@pytest.mark.parametrize("name", SOME)
def test_more_devices_than_rows(name):
    check(name, auto("space=8"), P())


@pytest.mark.parametrize("name", SOME)
def test_images_that_do_not_divide(name):
    check(name, auto(), P(), count=3)


@pytest.mark.parametrize("name", SOME)
def test_rows_that_types_split(name):
    """Rows that divide, on an explicit mesh: outputs lie as the inputs do."""
    check(name, jax.make_mesh((2, 1, 4), ("data", "other", "space")), ROWS)


def test_the_docstring_tells_of_every_function():
    assert set(re.findall(r"`(\w+)`", by_rows + others)) >= set(F.__all__) - {"plan"}


def same_as_alone(run, *arrays):
    """Runs a function on one device and within `split`, and says whether rows were split."""
    expected = jax.jit(run)(*arrays)
    with split(auto()):
        lowered = jax.jit(run).lower(*arrays)
        found = lowered.compile()(*arrays)
    for want, got in zip(*map(jax.tree.leaves, (expected, found)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-11)
    return splits(lowered.as_text())


def test_a_reducer_of_the_users(rng):
    images, cotangent = rng.normal(size=(4, 7, 4, 2)) + 3, rng.normal(size=(4, 4, 1, 2))

    def run(x, start, cotangent):
        pooled = functools.partial(F.pool, padding=((1, 2), (0, 0)), window_shape=(3, 3), strides=2)
        outputs, pull = jax.vjp(lambda x, start: pooled(x, start, jnp.multiply), x, start)
        return outputs, pull(cotangent)

    assert same_as_alone(run, images, jnp.asarray(1.0), cotangent)


LAYOUTS = {
    "channels last": (("NHWC", "HWIO", "NHWC"), {}, True),
    "channels first": (("NCHW", "OIHW", "NCHW"), {"feature_group_count": 2}, True),
    "groups of the batch": (("NHWC", "HWIO", "NHWC"), {"batch_group_count": 2}, False),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_conv_general_dilated(name, rng):
    numbers, options, split_by_rows = LAYOUTS[name]
    images, kernel = rng.normal(size=(4, 7, 5, 4)), rng.normal(size=(3, 3, 4, 6))
    if "feature_group_count" in options:
        kernel = kernel[:, :, :2]
    if numbers[0] == "NCHW":
        images, kernel = images.transpose(0, 3, 1, 2), kernel.transpose(3, 2, 0, 1)

    def run(x, k):
        outputs, pull = jax.vjp(
            lambda x, k: F.conv_general_dilated(
                x, k, (2, 1), "SAME", dimension_numbers=numbers, **options
            ),
            x,
            k,
        )
        return outputs, pull(jnp.sin(outputs))

    assert same_as_alone(run, images, kernel) == split_by_rows


@pytest.mark.parametrize("function", [F.grey_dilation, F.grey_erosion])
def test_integers_that_saturate(function, rng):
    """A tap in the padding would win by a sum that is no longer the worst there is."""
    images = rng.integers(-128, -100, (2, 5, 3, 2)).astype(np.int8)
    kernel = rng.integers(-100, 100, (4, 2, 2)).astype(np.int8)
    if function is F.grey_erosion:
        images = np.invert(images)
    assert same_as_alone(lambda x, k: function(x, k, padding=((2, 1), (1, 0))), images, kernel)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_windows_of_nothing_but_infinity(platform, rng):
    """Their gradients go to pixels, and the indices name pixels."""
    images = np.where(rng.random((2, 9, 4, 2)) < 0.8, -np.inf, rng.normal(size=(2, 9, 4, 2)))
    element, options = np.zeros((3, 3, 2)), {"padding": ((2, 1), (1, 1))}

    def run(x, k):
        maxima, indices = F.max_pool_with_indices(x, (3, 3), **options)
        dilated, pull = jax.vjp(lambda x, k: F.grey_dilation(x, k, **options), x, k)
        long = F.max_pool_with_indices(x, (8, 1), padding=((7, 7), (0, 0)))
        cotangent = jnp.cos(jnp.arange(dilated.size * 1.0)).reshape(dilated.shape)
        taken = jax.vjp(lambda x: F.max_pool(x, (3, 3), **options), x)[1](cotangent)
        return maxima, indices, dilated, pull(cotangent), long, taken

    with as_on(platform):
        assert same_as_alone(run, images, element)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_paddings_that_count_as_nothing(platform, rng):
    """Zeros in their place would be the largest, or would be counted."""
    images = -3 - rng.random((4, 9, 4, 2))

    def run(x):
        def pools(x):
            return (
                F.logsumexp_pool(x, (4, 3), 1, ((3, 2), (1, 1))),
                F.max_pool(x, (4, 3), 2, ((3, 2), (1, 1))),
                F.max_pool(x.astype(jnp.float32), (3, 1), ceil_mode=True, algorithm="window"),
                F.avg_pool(x, (4, 3), 1, ((3, 2), (1, 1)), count_include_pad=False),
                F.lp_pool(x, jnp.inf, (4, 3), 2, ((3, 2), (1, 1))),
            )

        outputs, pull = jax.vjp(pools, x)
        return outputs, pull(jax.tree.map(jnp.sin, outputs))

    with as_on(platform):
        assert same_as_alone(run, images)


def test_the_expected_value_and_numbers_that_are_drawn(rng):
    images, key = abs(rng.normal(size=(4, 7, 4, 2))), jax.random.key(3)

    def run(x):
        return (
            F.stochastic_pool(x, (3, 2), 2, 1, deterministic=True),
            F.stochastic_pool(x, (3, 2), 2, 1, key=key),
            F.fractional_max_pool(x, (2, 2), (4, 3), key=key),
        )

    assert same_as_alone(run, images)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_paddings_that_show_pixels(mode, rng):
    images, kernel = rng.normal(size=(4, 9, 5, 2)), rng.normal(size=(5, 3, 2, 3))

    def run(x, k):
        def both(x, k):
            return (
                F.conv(x, k, padding=((3, 2), (1, 1)), padding_mode=mode, input_dilation=(2, 1)),
                F.logsumexp_pool(x, (3, 3), 2, 1, padding_mode=mode),
                F.max_pool_with_indices(x, (3, 3), 2, 1, padding_mode=mode),
                F.conv_transpose(x, k, strides=2, padding=1, padding_mode=mode)
                if mode == "circular"
                else (),
            )

        outputs, pull, indices = jax.vjp(
            lambda x, k: (lambda a, b, c, d: ((a, b, c[0], d), c[1]))(*both(x, k)),
            x,
            k,
            has_aux=True,
        )
        return outputs, indices, pull(jax.tree.map(jnp.sin, outputs))

    assert same_as_alone(run, images, kernel)


@pytest.mark.parametrize("method", ["nearest", "linear"])
@pytest.mark.parametrize("rows, scale", [(8, 3), (5, 2), (2, 4)])
def test_images_that_are_resized(method, rows, scale, rng):
    """Where they lie: no row but the neighbours' next one comes to a device."""
    images, kernel = rng.normal(size=(2, rows, 3, 2)), rng.normal(size=(3, 3, 2, 3))

    def run(x, k):
        resized = functools.partial(F.resize_conv, scale=(scale, 2), method=method)
        outputs, pull = jax.vjp(resized, x, k)
        return outputs, pull(jnp.sin(outputs))

    assert same_as_alone(run, images, kernel)
    if rows % 4 == 0:
        with split(auto()):
            laid = jax.device_put(images, NamedSharding(auto(), ROWS))
            assert "all-gather" not in jax.jit(run).lower(laid, kernel).compile().as_text()


def network(images, kernel):
    return F.max_pool(jax.nn.relu(F.conv(images, kernel)), (3, 3), 2, 1)


@pytest.fixture
def arrays(rng):
    return rng.normal(size=(4, 9, 6, 2)), rng.normal(size=(3, 3, 2, 2))


def of(function, *arrays, axis="space"):
    return splits(jax.jit(function).lower(*arrays).as_text(), axis)


def test_nothing_is_split_that_is_not_asked_for(arrays):
    """Whatever the axes are called; and within, whatever is asked for by no name."""
    assert not of(network, *arrays)
    with jax.set_mesh(auto()):
        assert not of(network, *arrays)
    with sharding.split(auto()):
        assert not of(network, *arrays)
    with sharding.split(auto(), batch="data"):
        assert not of(network, *arrays)
        assert of(network, *arrays, axis="data")
    with sharding.split(auto(), rows="space"):
        assert of(network, *arrays)
        assert not of(network, *arrays, axis="data")


def test_axes_of_any_name(arrays):
    mesh = sharding.make_mesh("b=2,space=4", axes=("b", "space"))
    with sharding.split(mesh, batch="b", rows="space"):
        found = jax.jit(network)(*arrays)
        assert of(network, *arrays)
    np.testing.assert_allclose(found, jax.jit(network)(*arrays), atol=1e-12)


def test_one_compiled_function_within_and_outside(arrays):
    """What JAX has compiled outside is not taken within, nor the other way round."""
    compiled = jax.jit(network)
    expected = compiled(*arrays)
    for _ in range(2):
        with split(auto()):
            np.testing.assert_allclose(compiled(*arrays), expected, atol=1e-12)
            assert splits(compiled.lower(*arrays).as_text())
            with sharding.split(auto("data=8"), batch="data"):  # the innermost one counts
                assert not splits(compiled.lower(*arrays).as_text())
            with sharding.split(auto()):
                assert not splits(compiled.lower(*arrays).as_text())
        assert len(compiled(*arrays).sharding.device_set) == 1
        assert not splits(compiled.lower(*arrays).as_text())


def test_one_call_after_the_other(arrays):
    expected = jax.value_and_grad(lambda *given: network(*given).sum(), (0, 1))(*arrays)
    with split(auto()):
        found = jax.value_and_grad(lambda *given: network(*given).sum(), (0, 1))(*arrays)
        product = F.pool(arrays[0], 1.0, jnp.multiply, (2, 2))
    for want, got in zip(*map(jax.tree.leaves, (expected, found)), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-12)
    np.testing.assert_allclose(product, F.pool(arrays[0], 1.0, jnp.multiply, (2, 2)), rtol=1e-12)


@pytest.mark.parametrize("mesh", [auto, lambda: jax.make_mesh((2, 4), ("data", "space"))])
def test_within_a_compiled_function(mesh, arrays):
    mesh = mesh()

    @jax.jit
    def run(images, kernel):
        with split(mesh):
            maps = F.conv(images, kernel)
        return F.max_pool(jax.nn.relu(maps), (3, 3), 2, 1)

    np.testing.assert_allclose(run(*arrays), network(*arrays), atol=1e-12)
    assert splits(run.lower(*arrays).as_text())
    with split(mesh):
        np.testing.assert_allclose(run(*arrays), network(*arrays), atol=1e-12)


def test_flatten_on_an_explicit_mesh(rng):
    mesh, images = jax.make_mesh((2, 4), ("data", "space")), rng.normal(size=(2, 8, 3, 2))
    with split(mesh):
        laid = jax.device_put(images, NamedSharding(mesh, ROWS))
        flat = jax.jit(nn.Flatten())(F.max_pool(laid, (1, 1)))
    np.testing.assert_array_equal(flat, images.reshape(2, -1))
    assert jax.typeof(flat).sharding.spec == P("data", None)


def test_batches_of_two_axes_and_of_none(rng):
    images, kernel = rng.normal(size=(2, 2, 9, 4, 2)), rng.normal(size=(3, 3, 2, 3))

    def run(images, kernel):
        return F.conv(images, kernel), F.conv(images[0, 0], kernel), F.conv(images[:0], kernel)

    assert same_as_alone(run, images, kernel)


@pytest.mark.parametrize("sizes", ["n, 9, 6, 2", "4, h, 6, 2"])
def test_sizes_that_are_not_known(sizes, arrays):
    shape = jax.ShapeDtypeStruct(jax.export.symbolic_shape(sizes), arrays[0].dtype)
    mesh = auto()
    with split(mesh):
        exported = jax.export.export(jax.jit(network))(shape, arrays[1])
        found = jax.jit(exported.call)(*jax.device_put(arrays, NamedSharding(mesh, P())))
    np.testing.assert_allclose(found, network(*arrays), atol=1e-12)


def test_explicit_axes_in_the_callers_shard_map(arrays):
    mesh = jax.make_mesh((2, 2, 2), ("m", "data", "space"))
    images = jax.device_put(arrays[0], NamedSharding(mesh, P("m")))
    mapped = jax.shard_map(
        network, mesh=mesh, in_specs=(P("m"), P()), out_specs=P("m"), axis_names={"m"}
    )
    with split(mesh), pytest.raises(ValueError, match="^split: .* must be Auto, but 'data' is Exp"):
        jax.jit(mapped)(images, arrays[1])


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"batch": "x"}, ValueError, r"^split: `batch` \(='x'\) must be an axis .* data=2,space=4"),
        ({"rows": "x"}, ValueError, r"^split: `rows` \(='x'\) must be an axis of the mesh"),
        ({"batch": "data", "rows": "data"}, ValueError, "^split: `rows` .* another axis than `ba"),
        ({"rows": 1}, TypeError, r"^split: `rows` \(=1\) must be the name of one axis .* got int"),
        ({"batch": ("data", "space")}, TypeError, r"^split: `batch` .* one axis .* got tuple"),
    ],
)
def test_axes_that_cannot_be(options, kind, message):
    with pytest.raises(kind, match=message), sharding.split(auto(), **options):
        pass


def test_what_is_no_mesh():
    with pytest.raises(TypeError, match="^split: `mesh` must be a jax.sharding.Mesh.* got tuple"):
        with sharding.split((2, 4)):
            pass


def test_another_mesh_than_the_programs(arrays):
    @jax.jit
    def run(images, kernel):
        with split(auto("data=4,space=2")):
            return F.conv(images, kernel)

    message = "^split: `mesh` .=data=4,space=2. must be the one .* data=2,space=4; take that one"
    with split(auto()), pytest.raises(ValueError, match=message):
        run(*arrays)


def test_meshes():
    assert dict(auto("").shape) == {"data": 8, "space": 1}
    assert dict(auto("space=2").shape) == {"data": 1, "space": 2}
    mesh = sharding.make_mesh(" h = 2 ", axes=["n", "h"], devices=jax.devices()[4:])
    assert dict(mesh.shape) == {"n": 1, "h": 2}
    assert list(mesh.devices.flat) == jax.devices()[4:6]
    assert set(mesh.axis_types) == {AxisType.Auto}


@pytest.mark.parametrize(
    ("spec", "options", "kind", "message"),
    [
        (
            "data=16",
            {},
            ValueError,
            r"^make_mesh: `spec` \(='data=16'\) takes 16 devices, .* are 8",
        ),
        ("data=0", {}, ValueError, "must name data and space at most once, each with its number"),
        ("data", {}, ValueError, "must name data and space at most once"),
        ("data=2,data=2", {}, ValueError, "must name data and space at most once"),
        ("rows=2", {"axes": ("n", "h")}, ValueError, "must name n and h .* as in n=4,h=2"),
        ("", {"axes": ("n", "n")}, ValueError, "`axes` .* must be two different names"),
        ("", {"axes": ("n", "h=")}, ValueError, "`axes` .* must be two different names without"),
        ("", {"axes": ("n",)}, ValueError, "`axes` .* must be two different names"),
        ("", {"axes": "nh"}, TypeError, "`axes` .* must be two strings"),
        ("", {"axes": (1, 2)}, TypeError, "`axes` .* must be two strings"),
        (8, {}, TypeError, r"^make_mesh: `spec` \(=8\) must be a string, got int"),
    ],
)
def test_meshes_that_cannot_be(spec, options, kind, message):
    with pytest.raises(kind, match=message):
        sharding.make_mesh(spec, **options)


def test_several_processes_use_all_devices():
    class Device:
        def __init__(self, process):
            self.process_index = process

    devices = [Device(0), Device(0), Device(1), Device(1)]
    with pytest.raises(ValueError, match="takes 2 devices, but there are 4 in 2 processes"):
        sharding.make_mesh("data=2", devices=devices)

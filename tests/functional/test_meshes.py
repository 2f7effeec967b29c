"""Functions and modules on meshes of eight simulated devices.

Whatever the axes of a mesh are called and whatever they split, values and gradients are those of
one device. On an explicit mesh the types of both say that every image is where it was.
"""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxcnn import functional as F
from jaxcnn import models, nn, reference
from tests.functional.image_cases import (
    CASES,
    IMAGES,
    RNG,
    SHAPE,
    expected,
    fitting,
    normal,
    pulled,
    spec_of,
)

pytestmark = pytest.mark.eight_devices

P = PartitionSpec
# For ways of splitting: a kernel, a stated tangent, arrays beside the images, all pixels.
SOME = ("conv", "max_pool", "partial_conv", "max_unpool", "global_avg_pool")
FEW = ("conv", "max_pool", "global_avg_pool")


def make_mesh(shape=(4, 2), kind=AxisType.Explicit):
    return jax.make_mesh(shape, ("batch", "x"), (kind,) * 2)


def check(names, mesh, spec, wrap=lambda function, arrays: function, typed=True):
    """Holds cases, all in one program, against the reference.

    Args:
      names: of the cases.
      mesh: the mesh.
      spec: how arrays of images lie on it; all others are everywhere.
      wrap: `(function, arrays)` to the function that is tested in its place.
      typed: whether types say where arrays lie.
    """
    given, wanted = {}, {}
    for name in names:
        outputs, cotangent, gradients = expected(name)
        wanted[name] = outputs, gradients
        arrays = {
            n: jax.device_put(a, fitting(mesh, spec if n in IMAGES else P(), a))
            for n, a in CASES[name][0].items()
        }
        given[name] = arrays, jax.device_put(cotangent, fitting(mesh, spec[:1], cotangent))

    @jax.jit
    def run(given):
        found = {}
        for name, (arrays, cotangent) in given.items():
            function = functools.partial(getattr(F, name), **CASES[name][1])
            found[name] = pulled(wrap(function, arrays), arrays, cotangent)
        return found

    for name, (outputs, gradients) in run(given).items():
        for want, got in zip(wanted[name][0], outputs, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-11, err_msg=name)
            if typed:
                assert spec_of(got)[:1] == spec[:1], name
        for of, want in wanted[name][1].items():
            message = f"{name}, gradient of {of}"
            np.testing.assert_allclose(gradients[of], want, rtol=1e-11, atol=1e-11, err_msg=message)
            if typed:
                assert spec_of(gradients[of]) == spec_of(given[name][0][of]), message


def test_every_function_has_a_case():
    others = {"conv_general_dilated", "pool", "plan"}  # which have no reference of that name
    assert set(CASES) | others == set(F.__all__)


def test_explicit():
    check(CASES, make_mesh(), P("batch"))


def in_shard_map(mesh):
    """The function on each device's own images, by the caller's `shard_map`."""

    def wrap(function, arrays):
        specs = {n: P("batch") if n in IMAGES else P() for n in arrays}
        mapped = jax.shard_map(
            lambda arrays: function(**arrays),
            mesh=mesh,
            in_specs=(specs,),
            out_specs=P("batch"),
            axis_names={"batch"},
        )
        return lambda **arrays: mapped(arrays)

    return wrap


def vmapped(function, arrays):
    """The function of one image, by the caller's `vmap`."""
    axes = {n: 0 if n in IMAGES else None for n in arrays}
    mapped = jax.vmap(lambda arrays: function(**arrays), (axes,))
    return lambda **arrays: mapped(arrays)


def test_manual():
    """In the caller's `shard_map`; `test_explicit` runs what all functions do there in ours."""
    mesh = make_mesh(kind=AxisType.Auto)
    check(("conv_transpose", *SOME), mesh, P("batch"), in_shard_map(mesh), typed=False)


@pytest.mark.parametrize(
    ("mesh", "spec"),
    [
        ((2, 2), P(("batch", "x"))),
        ((2, 2), P("batch", None, "x")),  # some columns
        ((4, 2), P("batch", None, None, "x")),  # some channels
        ((4, 2), P()),
    ],
)
def test_what_is_split(mesh, spec):
    check(FEW, make_mesh(mesh), spec)


def test_auto():
    check(FEW, make_mesh(kind=AxisType.Auto), P("batch"), typed=False)


def test_manual_beside_explicit():
    check(FEW, make_mesh(), P("batch"), in_shard_map(make_mesh()))


def test_vmapped_over_a_split_axis():
    with jax.set_mesh(make_mesh((2, 4))):
        check(("space_to_depth", *SOME[:-1]), make_mesh((2, 4)), P("x"), vmapped)


def test_batches_of_two_axes_and_of_none():
    mesh = make_mesh((2, 4))
    images, kernel = normal(2, 4, 5, 4, 2), normal(3, 3, 2, 3)
    laid = jax.device_put(images, NamedSharding(mesh, P("batch", "x")))
    none = jax.device_put(images[:, 0, :0].reshape(0, 5, 4, 2), NamedSharding(mesh, P("x")))

    @jax.jit
    def run(laid, none, kernel):
        maps = F.conv(laid, kernel)
        return maps, F.max_pool(maps, (2, 2)), F.conv_transpose(none, kernel, strides=2)

    maps, best, empty = run(laid, none, kernel)
    np.testing.assert_allclose(maps, reference.conv(images, kernel), atol=1e-12)
    np.testing.assert_allclose(best, reference.max_pool(np.asarray(maps), (2, 2)), atol=1e-12)
    assert [spec_of(a) for a in (maps, best, empty)] == [P("batch", "x"), P("batch", "x"), P("x")]
    assert empty.shape == (0, 10, 8, 3)


def test_shapes_in_an_error_are_those_of_all_devices():
    laid = jax.device_put(normal(*SHAPE), NamedSharding(make_mesh(), P("batch")))
    with pytest.raises(ValueError, match=r"received inputs \(4, 5, 4, 2\), kernel \(3, 3, 3, 2\)"):
        F.conv(laid, normal(3, 3, 3, 2))


def test_functions_of_the_users_and_of_lax():
    """A traced `init`, a kernel on no mesh, and layouts that `lax` computes itself."""
    mesh = make_mesh()
    images, kernel = normal(*SHAPE), normal(3, 3, 2, 3)
    laid = jax.device_put(images, NamedSharding(mesh, P("batch")))

    def run(x, k, init):
        product = F.pool(x, init, jnp.multiply, (2, 2))
        last = F.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=LAST)
        first = F.conv_general_dilated(
            jnp.moveaxis(x, -1, 1), k.transpose(3, 2, 0, 1), (1, 1), "SAME"
        )
        return product, last, first

    def slopes(x, k, init):
        return jax.grad(lambda *given: sum(map(jnp.sum, run(*given)[:2])), (0, 1, 2))(x, k, init)

    both = jax.jit(lambda *given: (run(*given), slopes(*given)))
    for want, got in zip(
        jax.tree.leaves(both(images, kernel, 1.0)),
        jax.tree.leaves(both(laid, kernel, 1.0)),
        strict=True,
    ):
        np.testing.assert_allclose(got, want, atol=1e-11)
    assert spec_of(run(laid, kernel, 1.0)[0]) == P("batch")  # one operation after the other


LAST = ("NHWC", "HWIO", "NHWC")


def test_drawn_eagerly_as_on_one_device():
    images, key = abs(normal(*SHAPE)), jax.random.key(3)
    laid = jax.device_put(images, NamedSharding(make_mesh(), P("batch")))

    def run(x):
        maxima, places = F.fractional_max_pool_with_indices(x, (2, 2), (3, 2), key=key)
        return (
            F.stochastic_pool(x, (2, 2), key=key),
            F.stochastic_pool(x, (2, 2), deterministic=True),
            F.max_unpool(maxima, places % 12, (2, 2), (1, 2)),
        )

    for want, got in zip(run(jnp.asarray(images)), run(laid), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)
        assert spec_of(got) == P("batch")


def test_forward_mode_and_second_order():
    images, kernel = normal(*SHAPE), normal(3, 3, 2, 2)

    def loss(x, k):
        return (F.max_pool(F.conv(x, k), (3, 3), 2, 1) ** 3).sum()

    @jax.jit
    def run(x, k):
        return jax.jvp(jax.grad(loss, (0, 1)), (x, k), (x, k))

    expected = run(images, kernel)
    mesh = make_mesh()
    with jax.set_mesh(mesh):
        laid = jax.device_put(images, NamedSharding(mesh, P("batch")))
        for x in (laid, images):  # which lies on no mesh
            for want, got in zip(*map(jax.tree.leaves, (expected, run(x, kernel))), strict=True):
                np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)


def layers():
    """Every module that holds parameters, for images of two channels."""
    options = {"rngs": nnx.Rngs(2)}
    return {
        "context": nn.ContextBlock(2, dilations=(2,), **options),
        "conv": nn.Conv(2, 3, (3, 3), **options),
        "deform": nn.DeformConv(2, 3, (2, 2), **options),
        "depthwise": nn.DepthwiseConv(2, (3, 3), **options),
        "inverted": nn.InvertedResidual(2, 2, expansion=2, **options),
        "local": nn.ConvLocal(2, 3, (2, 2), (5, 4), **options),
        "partial": nn.PartialConv(2, 3, (3, 3), **options),
        "residual": nn.PreActivationBlock(2, 4, strides=2, **options),
        "resize": nn.ResizeConv(2, 3, (3, 3), **options),
        "separable": nn.SeparableConv(2, 3, (3, 3), **options),
        "standardized": nn.StandardizedConv(2, 3, (3, 3), **options),
        "subsampling": nn.Subsampling(2, (2, 2), **options),
        "table": nn.TableConv(2, [(0,), (0, 1)], (3, 3), **options),
        "transposed": nn.ConvTranspose(2, 3, (3, 3), strides=2, **options),
    }


def networks():
    options = {"rngs": nnx.Rngs(4)}
    small = nn.Chain(
        block=nn.BasicBlock(1, 2, strides=2, **options),
        dropout=nnx.Dropout(0.5, rngs=nnx.Rngs(dropout=5)),
        pool=nn.GlobalAvgPool(),
        dense=nnx.Linear(2, 10, **options),
    )
    return {"lenet": models.LeNet5(**options), "small": small}


@pytest.mark.parametrize(
    ("make", "shape", "context"),
    [(layers, SHAPE, jax.set_mesh), (networks, (4, 28, 28, 1), contextlib.nullcontext)],
)
def test_modules_train(make, shape, context):
    """A loss, its gradients and what batch normalisation keeps, of all at once."""
    graph, state = nnx.split(make())
    images, labels = normal(*shape).astype(np.float32), RNG.integers(0, 10, shape[0])

    @jax.jit
    def step(state, images, labels):
        def loss(modules):
            total = 0.0
            for name, module in modules.items():
                beside = (images[..., :1] > 0,) if name == "partial" else ()
                outputs = module(images, *beside)
                outputs = outputs[0] if isinstance(outputs, tuple) else outputs
                assert spec_of(outputs) == spec_of(images), name
                if outputs.ndim == 2:  # not by labels: their gather has no way back in JAX 0.12
                    chosen = jax.nn.one_hot(labels, 10, dtype=outputs.dtype)
                    losses = optax.softmax_cross_entropy(outputs, chosen)
                    total += losses.mean()
                else:
                    total += jnp.sin(outputs).sum()
            return total

        modules = nnx.merge(graph, state)
        for module in modules.values():
            module.train()
        value, gradients = nnx.value_and_grad(loss)(modules)
        return value, gradients, nnx.state(modules, nnx.BatchStat)

    expected = step(state, images, labels)
    mesh = make_mesh()
    everywhere, split = (NamedSharding(mesh, spec) for spec in (P(), P("batch")))
    placed = jax.device_put(state, everywhere), *jax.device_put((images, labels), split)
    with context(mesh):
        found = step(*placed)
    for want, got in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=2e-5)

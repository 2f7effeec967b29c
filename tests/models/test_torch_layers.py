"""PyTorch's weights in layers beyond convolutions: nested, shared, stacked, scalar, complex."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import models, nn


def stacked(build, count=3):
    """Layers of one kind in one, their parameters stacked along the first axis."""
    return nnx.vmap(build, in_axes=(0,), out_axes=0)(nnx.Rngs(0).split(count))


def through_a_file(build, path):
    """What is read is what was written, into a network drawn otherwise; the report."""
    model, copy = build(nnx.Rngs(0)), build(nnx.Rngs(1))
    models.save_torch(model, path)
    before, after = (nnx.to_flat_state(nnx.state(m, nnx.Not(nnx.RngState))) for m in (model, copy))
    for _, leaf in after:
        leaf.set_value(jnp.full_like(leaf[...], 7))
    report = models.load_torch(copy, path)
    for (name, wrote), (_, read) in zip(before, after, strict=True):
        np.testing.assert_array_equal(wrote[...], read[...], str(name))
    return report


class WithGain(nnx.Conv):
    """A layer of Flax's with a parameter of its own."""

    def __init__(self, *, rngs):
        super().__init__(2, 3, (3, 3), rngs=rngs)
        self.gain = nnx.Param(jnp.arange(3.0))


class Box(nnx.Pytree):
    """Holds layers, and is no module."""

    def __init__(self, layer):
        self.layer = layer


class Held(nnx.Module):
    def __init__(self, *, rngs):
        self.box = Box(nnx.Conv(2, 3, (3, 3), rngs=rngs))


class Scalars(nnx.Module):
    def __init__(self, *, rngs):
        self.conv = nnx.Conv(2, 3, (3, 3), rngs=rngs)
        self.temperature, self.slope = nnx.Param(jnp.array(2.0)), nnx.PReLU(0.3)


class Complex(nnx.Module):
    def __init__(self, *, rngs):
        self.conv = nnx.Conv(2, 3, (3, 3), param_dtype=jnp.complex64, rngs=rngs)
        self.filter = nnx.Param(jnp.array([1j, 2], jnp.complex64))


@pytest.mark.parametrize(
    ("build", "arrays"),
    [
        pytest.param(
            lambda rngs: nnx.LoRALinear(4, 6, lora_rank=2, rngs=rngs), 4, id="low-rank-update"
        ),
        pytest.param(lambda rngs: WithGain(rngs=rngs), 3, id="subclass-with-a-parameter"),
        pytest.param(lambda rngs: nn.DeformConv(2, 3, (3, 3), rngs=rngs), 4, id="deformable"),
        pytest.param(lambda rngs: Held(rngs=rngs), 2, id="held-by-no-module"),
        pytest.param(lambda rngs: Scalars(rngs=rngs), 4, id="scalars"),
        pytest.param(lambda rngs: Complex(rngs=rngs), 3, id="complex"),
        pytest.param(
            lambda rngs: stacked(lambda r: nnx.Linear(2, 3, rngs=r)), 2, id="stacked-linear"
        ),
    ],
)
def test_every_parameter_goes_through_a_file(build, arrays, tmp_path):
    pytest.importorskip("safetensors")
    report = through_a_file(build, tmp_path / "weights.safetensors")
    assert (len(report.taken), report.missing) == (arrays, ())


def test_stacked_layers_keep_their_axis_in_front(tmp_path):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.numpy")
    layers = [torch.nn.Conv2d(2, 4, (3, 5)) for _ in range(3)]
    theirs, _ = torch.func.stack_module_state(layers)
    model = stacked(lambda r: nnx.Conv(2, 4, (3, 5), rngs=r))
    models.load_torch(model, theirs)
    for number, layer in enumerate(layers):
        alone = layer.weight.detach().numpy().transpose(2, 3, 1, 0)
        np.testing.assert_array_equal(model.kernel[...][number], alone)
    models.save_torch(model, tmp_path / "ours.safetensors")
    ours = safetensors.load_file(tmp_path / "ours.safetensors")
    np.testing.assert_array_equal(ours["weight"], theirs["weight"].detach().numpy())


class Others(nnx.Module):
    def __init__(self, *, rngs):
        self.conv = nnx.Conv(3, 4, (3, 3), padding="VALID", rngs=rngs)
        self.norm = nnx.InstanceNorm(4, epsilon=1e-5, rngs=rngs)
        self.act = nnx.PReLU()
        self.heads = nnx.LinearGeneral(4, (2, 3), rngs=rngs)
        self.joined = nnx.LinearGeneral((2, 3), 5, axis=(-2, -1), rngs=rngs)
        self.scaled = nnx.RMSNorm(5, epsilon=1e-6, rngs=rngs)

    def __call__(self, x):
        x = self.act(self.norm(self.conv(x)))
        return self.scaled(self.joined(self.heads(x)))


def test_other_layers_of_flax_are_those_of_pytorch(rng):
    torch = pytest.importorskip("torch")
    net = torch.nn.ModuleDict(
        {
            "conv": torch.nn.Conv2d(3, 4, 3),
            "norm": torch.nn.InstanceNorm2d(4, affine=True),
            "act": torch.nn.PReLU(),
            "heads": torch.nn.Linear(4, 6),
            "joined": torch.nn.Linear(6, 5),
            "scaled": torch.nn.RMSNorm(5, eps=1e-6),
        }
    )
    with torch.no_grad():
        for array in net.parameters():
            array.copy_(torch.from_numpy(rng.normal(size=array.shape).astype(np.float32)))
    model = Others(rngs=nnx.Rngs(0))
    report = models.load_torch(model, net.state_dict())
    assert (report.names, report.missing, report.skipped) == ("own", (), ())
    images = rng.normal(size=(2, 6, 7, 3)).astype(np.float32)
    with torch.no_grad():
        maps = net["act"](net["norm"](net["conv"](torch.from_numpy(images.transpose(0, 3, 1, 2)))))
        wanted = net["scaled"](net["joined"](net["heads"](maps.permute(0, 2, 3, 1))))
    np.testing.assert_allclose(model(images), wanted.numpy(), rtol=1e-4, atol=1e-4)


class Tied(nnx.Module):
    """One layer at two paths."""

    def __init__(self, *, rngs):
        self.stem = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.body = nnx.Conv(4, 4, (3, 3), rngs=rngs)
        self.again = self.body


def tied(torch, names):
    """Its twin under other names, or the same."""
    net = torch.nn.Module()
    first, second = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 4, 3)
    for name, layer in zip(names, (first, second, second), strict=True):
        net.add_module(name, layer)
    return net


@pytest.mark.parametrize("names", [("stem", "body", "again"), ("one", "two", "three")])
def test_a_shared_layer_has_both_names_of_pytorch(names, tmp_path):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    net, model = tied(torch, names), Tied(rngs=nnx.Rngs(0))
    report = models.load_torch(model, net.state_dict())
    assert (len(report.taken), report.missing, report.skipped) == (6, (), ())
    kernel = net.get_submodule(names[1]).weight.detach().numpy().transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(model.body.kernel[...], kernel)
    path = tmp_path / "ours.safetensors"
    models.save_torch(model, path, names=report)
    tied(torch, names).load_state_dict(safetensors.load_file(path))


@pytest.mark.parametrize("lost", ["body", "again"])
def test_a_shared_layer_may_be_named_once(lost):
    torch = pytest.importorskip("torch")
    state = tied(torch, ("stem", "body", "again")).state_dict()
    state = {name: array for name, array in state.items() if not name.startswith(lost)}
    model = Tied(rngs=nnx.Rngs(0))
    report = models.load_torch(model, state)
    assert (len(report.taken), report.missing) == (4, ())


def test_a_shared_layer_can_not_be_two():
    torch = pytest.importorskip("torch")
    state = tied(torch, ("stem", "body", "again")).state_dict()
    state["again.bias"] = state["again.bias"] + 1
    with pytest.raises(ValueError, match=r"again\.bias differs from body\.bias, and both are"):
        models.load_torch(Tied(rngs=nnx.Rngs(0)), state)

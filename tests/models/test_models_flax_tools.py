"""What Flax does to any module, done to every network: tables, prints, copies."""

import copy
import inspect

import jax
import pytest
import treescope
from flax import nnx

from jaxcnn import models
from tests.models.networks import NETWORKS, REMAT


def test_the_table_holds_every_network():
    kinds = {name for name in models.__all__ if inspect.isclass(getattr(models, name))}
    assert kinds == set(NETWORKS)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:treescope")  # of JAX, not of ours
@pytest.mark.parametrize("name", NETWORKS)
def test_tables_prints_and_copies(name, filled, capsys):
    build, shape = {**NETWORKS, "UNet": REMAT["UNet"]}[name]
    model = filled(build)
    images = jax.ShapeDtypeStruct((2, *shape), "float32")
    graph, told = nnx.graphdef(model), []

    def traced(images):
        """So that nothing is compiled: a table runs what it lists."""
        told.append(nnx.tabulate(model, images, console_kwargs=dict(width=400)))

    jax.eval_shape(traced, images)
    logits = nnx.eval_shape(lambda model, x: model(x), model, images)
    assert f"{name} Summary" in told[0]
    assert f"[{','.join(map(str, logits.shape))}]" in told[0]
    for path, layer in nnx.iter_modules(model):
        assert "/".join(map(str, path)) in told[0] or not callable(layer)
    assert nnx.graphdef(model) == graph

    nnx.display(model)
    assert capsys.readouterr().out.startswith(name) and repr(model).startswith(name)
    assert name in treescope.render_to_text(model)
    for other in (copy.deepcopy(model), nnx.clone(model)):
        assert nnx.graphdef(other) == graph

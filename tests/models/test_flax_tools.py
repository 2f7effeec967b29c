"""What Flax does to any module, done to every network: tables, prints, copies."""

import copy
import inspect

import jax
import pytest
import treescope
from flax import nnx

from jaxcnn import models
from tests.flax_tables import table
from tests.models.networks import NETWORKS, REMAT


def test_the_table_holds_every_network():
    kinds = {name for name in models.__all__ if inspect.isclass(getattr(models, name))}
    assert kinds - {"TorchReport"} == set(NETWORKS)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:treescope")  # of JAX, not of ours
@pytest.mark.parametrize("name", NETWORKS)
def test_tables_prints_and_copies(name, filled, capsys):
    build, shape = {**NETWORKS, "UNet": REMAT["UNet"]}[name]
    model = filled(build)
    images = jax.ShapeDtypeStruct((2, *shape), "float32")
    graph, told = nnx.graphdef(model), table(model, [images])
    logits = nnx.eval_shape(lambda model, x: model(x), model, images)
    assert f"{name} Summary" in told
    assert f"[{','.join(map(str, logits.shape))}]" in told
    for path, layer in nnx.iter_modules(model):
        assert "/".join(map(str, path)) in told or not callable(layer)
    assert nnx.graphdef(model) == graph

    nnx.display(model)
    assert capsys.readouterr().out.startswith(name) and repr(model).startswith(name)
    assert name in treescope.render_to_text(model)
    for other in (copy.deepcopy(model), nnx.clone(model)):
        assert nnx.graphdef(other) == graph

"""The wheel, with the core dependencies alone, gives primitives, modules, models and checks."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]

SCRIPT = """
import importlib.util, jax, jax.numpy as jnp, numpy as np
from flax import nnx
import jaxcnn
from jaxcnn import analysis, functional, geometry, models, nn, reference, testing
assert "site-packages" in jaxcnn.__file__, jaxcnn.__file__
for heavy in ("experiments", "matplotlib", "tensorflow_datasets", "tyro", "hypothesis"):
    assert importlib.util.find_spec(heavy) is None, heavy
@jax.jit
def run(images):
    outputs = functional.conv(images, jnp.ones((5, 5, 1, 6)), padding=2)
    layer = nn.Conv(1, 6, (5, 5), rngs=nnx.Rngs(0))
    network = models.PatternCNN((28, 28, 1), convs=1, features=2, hidden=0, rngs=nnx.Rngs(0))
    return outputs, layer(images), network(images)
for outputs in run(jnp.ones((2, 28, 28, 1))):
    print(outputs.shape)
squash = testing.register("squash", jnp.tanh, lambda cotangent, x: cotangent / np.cosh(x) ** 2)
squash.case("plain", (3, 4))
for filter in ("conv_local: 2-D", "squash"):
    for case, dtype in testing.select(filter, dtype=("float64",)):
        print(case.primitive, testing.compare_row(case, dtype).passed)
try:
    import jaxcnn.visualize
except ImportError as error:
    print(error)
"""


def test_wheel_with_core_dependencies(tmp_path):
    environment = {
        k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "COV_CORE_SOURCE")
    }

    def run(*command: object) -> str:
        done = subprocess.run(
            [*map(str, command)], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path / "dist", ROOT)
    (wheel,) = (tmp_path / "dist").glob("jaxcnn-*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-compile")
    run(*pip, "-c", ROOT / "requirements.lock", wheel)
    shown = run(python, "-c", SCRIPT).splitlines()
    assert shown[:3] == ["(2, 28, 28, 6)", "(2, 28, 28, 6)", "(2, 10)"]
    assert shown[3:5] == ["conv_local True", "squash True"]
    assert "jaxcnn[visualize]" in shown[5]

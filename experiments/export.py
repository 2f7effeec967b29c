"""Takes the network of a run along: a program that JAX alone runs, without this library.

    python -m experiments.export runs/lenet-...        writes runs/lenet-.../export/

    program.bin             the network as one serialised `jax.export` program, its parameters
                            inside: bytes (batch, ...) to logits, any batch, on CPU, CUDA and TPU
    program.json            what it takes and tells: shape, preparation, names of the classes
    weights.safetensors     the parameters by their paths, for anything else

To run it, with JAX, NumPy and flatbuffers and nothing else (`load.py`, which is written too):

    import json, jax.export
    program = jax.export.deserialize(bytearray(open("program.bin", "rb").read()))
    classes = json.load(open("program.json"))["classes"]
    logits = program.call(images)               # uint8 (batch, height, width, channels)
    print([classes[i] for i in logits.argmax(-1)])

On a CPU that gives the bits of the network itself, compiled for as many images.

ONNX is not written. Of converters from JAX jax2onnx 0.17.1 was tried, on LeNet-5 and PatternCNN:
with JAX 0.10.2 it stops at this library's own primitive that chooses among algorithms ("No plugins
registered for primitive 'by_platform'"), with JAX 0.12.0.1 at a part of JAX that is gone
("module 'jax._src.core' has no attribute 'ClosedJaxpr'").
"""

from experiments.commands import command
from experiments.commands.command import extra

with extra("experiments"):
    import dataclasses
    import json
    import sys
    from collections.abc import Callable
    from pathlib import Path

    import flatbuffers  # noqa: F401  what jax.export serialises with
    import jax
    import jax.numpy as jnp
    import numpy as np
    import tyro
    from flax import nnx
    from jax import export as jax_export

    from experiments.training.network import scale
    from experiments.training.predict import Trained, trained
    from experiments.training.runs import writing

with extra("weights"):
    from safetensors.numpy import save_file

PLATFORMS = ("cpu", "cuda", "tpu")
PREPARATION = {
    "digit": "grey, light strokes on black, the digit fitted into 20 x 20 pixels and its centre of "
    "mass put at the middle of 28 x 28",
    "image": "the middle of the image, resized; bytes",
    "signal": "bytes, 128 for 0 and 127 more for 1",
}
LOAD = '''\
"""Runs the program beside this file: python load.py images.npy, bytes of the shape it takes."""

import json
import pathlib
import sys

import jax.export
import numpy as np

folder = pathlib.Path(__file__).parent
program = jax.export.deserialize(bytearray((folder / "program.bin").read_bytes()))
classes = json.loads((folder / "program.json").read_text())["classes"]
logits = np.asarray(program.call(np.load(sys.argv[1])))
np.save("logits.npy", logits)
print(*(classes[i] for i in logits.argmax(-1).ravel()[:20]))
'''


@dataclasses.dataclass(frozen=True)
class Options:
    """Writes the network of a run as a program that JAX alone runs."""

    run: tyro.conf.Positional[Path]
    """Run folder, its newest checkpoint."""
    output: Path | None = None
    """Folder to write; `export` in the run folder when left out."""


def function(network: Trained) -> Callable[[jax.Array], jax.Array]:
    """The network on bytes: what is exported."""
    graph, state = nnx.split(network.model)

    def logits(images: jax.Array) -> jax.Array:
        model = nnx.merge(graph, state)
        return model(scale(images)).astype(jnp.float32)  # pyright: ignore[reportCallIssue]

    return logits


def program(network: Trained) -> jax_export.Exported:
    """For a symbolic batch and all of `PLATFORMS`."""
    shape = ", ".join(map(str, ("batch", *network.inputs.image_shape)))
    images = jax.ShapeDtypeStruct(jax_export.symbolic_shape(shape), np.uint8)
    return jax_export.export(jax.jit(function(network)), platforms=PLATFORMS)(images)


def weights(network: Trained) -> dict[str, np.ndarray]:
    """All arrays that the network computes with, by their paths."""
    state = nnx.to_pure_dict(nnx.state(network.model, nnx.Not(nnx.RngState)))
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    named = (
        (jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in leaves
    )
    return {name: np.asarray(leaf) for name, leaf in named}


def write(network: Trained, folder: Path) -> None:
    """Writes all files of the export."""
    exported, inputs = program(network), network.inputs
    about = {
        "inputs": {"dtype": "uint8", "shape": ["batch", *inputs.image_shape]},
        "preparation": PREPARATION[inputs.form],
        "outputs": {"dtype": "float32", "shape": [str(n) for n in exported.out_avals[0].shape]},
        "meaning": f"logits of {inputs.task}",
        "classes": list(inputs.classes),
        "least_probability": inputs.least_probability,
        "platforms": list(exported.platforms),
        "jax": jax.__version__,
    }
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "program.bin").write_bytes(exported.serialize())
        (folder / "program.json").write_text(json.dumps(about, indent=2) + "\n")
        (folder / "load.py").write_text(LOAD)
        save_file(weights(network), folder / "weights.safetensors")


def main(options: Options) -> None:
    """Writes the folder and says what is in it."""
    network = trained(options.run)
    folder = options.output or options.run / "export"
    write(network, folder)
    for name in ("program.bin", "program.json", "load.py", "weights.safetensors"):
        print(f"{folder / name}: {(folder / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    commands = {"write": (Options, main)}
    sys.exit(command.run("python -m experiments.export", commands, took="5 s"))

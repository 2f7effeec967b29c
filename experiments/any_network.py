"""Three networks, one way: looked at, given weights, fine-tuned and taken along.

    python -m experiments.any_network

The first is written with plain Flax layers, the second with Linen and stands behind Flax's bridge,
the third is our ResNet-18 with a file of weights under timm's names: random ones, or timm's own by
`--weights`. None is written for what is done here. The first two learn the digits 0 to 4 and are
saved as PyTorch saves networks. Then, with each of the three:

    load      the file into a network with a new head, and what was taken is told
    finetune  the head alone, on a few of the digits 5 to 9
    look      a table of its layers and costs, the field of one of them, its maps, Grad-CAM
    keep      weights to a file and back; a program for CPU, CUDA and TPU and any batch, and back

A run folder holds the tables, the files and the pictures: what a unit of a layer sees, what the
layers give, which pixels speak for the class.

Result (two shared cores of an AMD EPYC, Python 3.11, JAX 0.10.2; 317 s, 246 s of them CPU time): of
the digits 5 to 9 the three read 76.4 %, 75.6 % and 78.2 % after 10 examples of each; every array is
the same after a file, and every logit from the program.
"""

from experiments.commands import command, output
from experiments.commands.command import extra, require

with extra("experiments"):
    import dataclasses
    import sys
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    import flatbuffers  # noqa: F401  what jax.export serialises with
    import jax
    import numpy as np
    import optax
    from flax import linen, nnx
    from jax import export as jax_export

    from experiments.commands.phases import phase
    from experiments.data import DATA_DIR, load
    from experiments.training.records import add_times
    from experiments.training.runs import Run, new_folder
    from jaxcnn import analysis, models, visualize

CLASSES = 5
LOOKED_AT = 8  # images of the test
PLATFORMS = ("cpu", "cuda", "tpu")


class OfFlax(nnx.Module):
    """Plain layers of Flax; nothing of this library."""

    def __init__(self, rngs: nnx.Rngs):
        self.conv1 = nnx.Conv(1, 16, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(16, rngs=rngs)
        self.conv2 = nnx.Conv(16, 32, (3, 3), rngs=rngs)
        self.conv3 = nnx.Conv(32, 32, (3, 3), rngs=rngs)
        self.head = nnx.Linear(32, CLASSES, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        maps = nnx.max_pool(nnx.relu(self.norm(self.conv1(images))), (2, 2), (2, 2))
        maps = nnx.max_pool(nnx.relu(self.conv2(maps)), (2, 2), (2, 2))
        return self.head(nnx.relu(self.conv3(maps)).max((1, 2)))


class OfLinen(linen.Module):
    """The older way to write networks for Flax, with a dilated kernel."""

    @linen.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        maps = linen.Conv(16, (3, 3))(images)
        maps = linen.max_pool(linen.relu(linen.LayerNorm()(maps)), (2, 2), (2, 2))
        maps = linen.relu(linen.Conv(32, (3, 3), kernel_dilation=2)(maps))
        maps = linen.relu(linen.Conv(32, (3, 3))(maps))
        return linen.Dense(CLASSES, name="head")(maps.max((1, 2)))


@dataclasses.dataclass(frozen=True)
class Case:
    """A network, and the little that has to be known of it.

    Attributes:
      make: builds it from a seed.
      shape: of an image that it takes.
      head: path of the layer that tells the classes.
      layers: whose maps are drawn; the last one is what is looked at more closely.
    """

    make: Callable[[int], Any]
    shape: tuple[int, int, int]
    head: str
    layers: tuple[str, ...]

    def images(self, digits: np.ndarray) -> np.ndarray:
        """Digits (n, 28, 28, 1) of bytes as the network takes them."""
        times = self.shape[0] // 28
        larger = digits.repeat(times, 1).repeat(times, 2).repeat(self.shape[2], 3)
        return larger.astype(np.float32) / 255


def bridged(seed: int) -> Any:
    """The network of Linen as one of NNX, with its variables."""
    rngs = nnx.Rngs(seed)
    return nnx.bridge.ToNNX(OfLinen(), rngs).lazy_init(np.zeros((1, 28, 28, 1), np.float32))


def resnet(seed: int) -> nnx.Module:
    """ResNet-18 with another number of classes than the file of weights has."""
    return models.ResNet(18, CLASSES, rngs=nnx.Rngs(seed))


CASES = {
    "flax": Case(
        lambda seed: OfFlax(nnx.Rngs(seed)), (28, 28, 1), "head", ("conv1", "conv2", "conv3")
    ),
    "linen": Case(bridged, (28, 28, 1), "head", ("Conv_0", "Conv_1", "Conv_2")),
    "resnet18": Case(
        resnet, (56, 56, 3), "classifier", ("features.stem", "features.pool", "features.stage1")
    ),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """Does with three networks what there is to do."""

    weights: Path | None = None
    """A safetensors file of a ResNet-18 from timm or torchvision; random weights when left out."""
    steps: int = 200
    """Of the training on the digits 0 to 4, 50 images each."""
    few: int = 10
    """Examples of each digit from 5 to 9 for the fine-tuning."""
    tuning: int = 60
    """Steps of the fine-tuning, on all of these examples."""
    tested: int = 500
    """Digits from 5 to 9 to test with."""
    seed: int = 0
    """Of everything."""
    run: Path | None = None
    """Run folder to make; runs/any_network-DATE-TIME when left out."""
    data_dir: Path = DATA_DIR
    """Folder of the data sets."""

    def __post_init__(self):
        for name in ("steps", "tuning", "tested"):
            value = getattr(self, name)
            require(value >= 1, name, value, "must be 1 or more")
        require(1 <= self.few <= 400, "few", self.few, "must be 1 to 400, which is all there are")


def train(model: Any, batches: Any, wanted: Any, rate: float = 3e-3) -> list[float]:
    """Trains the parameters that `wanted` picks, nothing else; the loss of each batch."""
    optimizer = nnx.Optimizer(model, optax.adam(rate), wrt=wanted)

    @nnx.jit
    def step(model, optimizer, images, labels):
        def loss(model):
            return optax.softmax_cross_entropy_with_integer_labels(model(images), labels).mean()

        value, gradients = nnx.value_and_grad(loss, argnums=nnx.DiffState(0, wanted))(model)
        optimizer.update(model, gradients)
        return value

    return [float(step(model, optimizer, *batch)) for batch in batches]


@nnx.jit
def answers(model: Any, images: Any) -> Any:
    """Logits of a network that is handed over, as Flax's transforms want it."""
    return model(images)


def look(run: Run, name: str, case: Case, model: Any, images: np.ndarray) -> dict[str, Any]:
    """Prints the table and draws the pictures; what is known about the last of the layers."""
    table = analysis.summary(model, (1, *case.shape), depth=None, show=False)
    shown = table if len(table.rows) < 20 else analysis.summary(model, (1, *case.shape), show=False)
    print(f"{shown}\n")
    layer = case.layers[-1]
    field = analysis.receptive_field(
        lambda x: analysis.feature_maps(model, x, layers=[layer])[layer], (1, *case.shape)
    )
    title = f"{table.model}, {layer}"
    told = f"Grad-CAM of {title}; class 0 is the digit {CLASSES}"
    maps = analysis.feature_maps(model, images[:1], layers=case.layers)
    pictures = {
        "field": visualize.receptive_field(model, images, layer=layer, title=title),
        "maps": visualize.feature_maps(maps, title=f"{table.model}: what its layers give"),
        "cam": visualize.grad_cam(model, images, layer=layer, title=told),
    }
    for kind, figure in pictures.items():
        run.save_picture(f"{name}-{kind}", figure)
    return {
        "parameters": table.parameters,
        "multiply_adds": table.multiply_adds,
        "field": "all" if field is None else field.size,
    }


def keep(run: Run, name: str, case: Case, model: Any, images: np.ndarray) -> dict[str, Any]:
    """Writes weights and program, reads both again, and says whether they are what they were."""
    weights, file = run.folder / f"{name}-tuned.safetensors", run.folder / f"{name}.program"
    models.save_torch(model, weights)
    other = case.make(1)
    report = models.load_torch(other, weights)
    held = (jax.tree.leaves(nnx.state(each, nnx.Not(nnx.RngState))) for each in (model, other))
    equal = all(np.array_equal(ours, read) for ours, read in zip(*held, strict=True))

    graph, state = nnx.split(model)
    network = jax.jit(lambda images: nnx.merge(graph, state, copy=True)(images))
    shape = jax_export.symbolic_shape(", ".join(map(str, ("batch", *case.shape))))
    taken = jax.ShapeDtypeStruct(shape, np.float32)
    file.write_bytes(jax_export.export(network, platforms=PLATFORMS)(taken).serialize())
    program = jax_export.deserialize(bytearray(file.read_bytes()))

    logits = np.asarray(network(images))
    return {
        "arrays": len(report.taken),
        "weights_equal": equal,
        "platforms": program.platforms,
        "program_equal": bool(np.array_equal(logits, program.call(images))),
    }


def digits(split: Any, first: int, most: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Five digits from `first` on, as classes from 0 on; of each at most `most`, drawn."""
    images, labels = split.arrays()
    order = np.random.default_rng(seed).permutation(len(labels))
    rows = [order[labels[order] == digit][:most] for digit in range(first, first + CLASSES)]
    mixed = np.random.default_rng(seed).permutation(np.concatenate(rows))
    return images[mixed], labels[mixed] - first


def weights_of(run: Run, name: str, case: Case, options: Options, examples: Any) -> Path:
    """The file that the fine-tuning begins with."""
    if name == "resnet18" and options.weights is not None:
        return options.weights
    path = run.folder / f"{name}.safetensors"
    if name == "resnet18":
        models.save_torch(models.ResNet(18, rngs=nnx.Rngs(options.seed)), path, names="timm")
        return path
    model, (images, labels) = case.make(options.seed), examples
    rng = np.random.default_rng(options.seed)
    drawn = (rng.choice(len(labels), 50, replace=False) for _ in range(options.steps))
    model.train()
    train(model, ((case.images(images[rows]), labels[rows]) for rows in drawn), nnx.Param)
    models.save_torch(model, path)
    return path


def main(options: Options) -> None:
    """Prints tables and results; writes pictures, files and results.json into the run folder."""
    with phase("data", "reading mnist5k"):
        data = load("mnist5k", data_dir=options.data_dir)
    run = Run.create(
        options.run or new_folder("any_network"),
        {n: v for n, v in dataclasses.asdict(options).items() if isinstance(v, int)},
    )
    first = digits(data.train, 0, None, options.seed)
    few, labels = digits(data.train, CLASSES, options.few, options.seed)
    test, true = (each[: options.tested] for each in digits(data.test, CLASSES, None, options.seed))
    results = {}
    for name, case in CASES.items():
        with phase("training", f"making weights for {name}"):
            weights = weights_of(run, name, case, options, first)
        with phase("training", f"fine-tuning {name}"):
            model = case.make(options.seed + 1)
            model.eval()  # norms use the averages that come with the weights
            report = models.load_torch(model, weights, skip=case.head)
            head = nnx.All(nnx.Param, nnx.PathContains(case.head))
            train(model, [(case.images(few), labels)] * options.tuning, head, 1e-2)
            said = np.asarray(answers(model, case.images(test))).argmax(-1)
        with phase("pictures", f"looking at {name}"):
            found = look(run, name, case, model, case.images(test[:LOOKED_AT]))
        with phase("test", f"saving {name} and reading it again"):
            kept = keep(run, name, case, model, case.images(test[:LOOKED_AT]))
        taken = {"taken": len(report.taken), "missing": len(report.missing)}
        results[name] = taken | {"accuracy": float((said == true).mean())} | found | kept
    run.save_json("results", results)
    add_times(run)
    for name, found in results.items():
        output.say(
            f"{name:9} {found['taken']} arrays taken, {found['missing']} missing; test accuracy "
            f"{found['accuracy']:.1%}; weights {_same(found['weights_equal'])} after a file, "
            f"logits {_same(found['program_equal'])} from the program"
        )
    print(f"run folder {run.folder}")


def _same(equal: bool) -> str:
    return "the same" if equal else "NOT the same"


if __name__ == "__main__":
    commands = {"look": (Options, main)}
    sys.exit(command.run("python -m experiments.any_network", commands, took="4 minutes of CPU"))

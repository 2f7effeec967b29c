"""Which pixels of the image each unit sees, read in the Jaxpr; nothing is run."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from jaxcnn._checks.naming import named
from jaxcnn._modules.follow import Unknown, follow, of_image
from jaxcnn._modules.seen import Seen
from jaxcnn.analysis._calls import Recording, record
from jaxcnn.analysis._inputs import shapes_of
from jaxcnn.geometry.field import Field
from jaxcnn.geometry.sight import Sight


@named
def receptive_field(model: nnx.Module | Callable[..., Any], *inputs: Any) -> Any:
    """Works out which pixels a unit of the outputs can see.

        size' = size + (e - 1) * strides,   strides' = strides * s,   start' = start - p * strides

    for an operation whose windows span e pixels of its own inputs, s apart, after p of padding.
    Where arrays are added, or their channels joined, a unit sees what any of them sees; after a sum
    over pixels, a product with all of them, a Fourier transform or a place that data choose it sees
    everything along those axes. A unit can see all of its field, and hardly looks at the edge: the
    gradient is large in the middle alone (`effective_field`).

    It is read in the Jaxpr: what the model is written with makes no difference. It runs in
    evaluation, as a batch normalisation in training sees all images.

    Args:
      model: a layer, a network or any function of arrays.
      *inputs: what it is called with: arrays, `jax.ShapeDtypeStruct`, or shapes
        `(batch, *spatial, channels)`, which stand for float32; or dictionaries of such. The first
        with spatial axes is the image.
    Returns:
      The field; None where every unit sees all pixels, as after a flattening. For several outputs
      the same tree of fields.
    Raises:
      ValueError: the model does not take the inputs, or the outputs don't depend on the image.
      TypeError: an operation of which is unknown what it sees, such as a kernel of its own.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import analysis, models
      >>> model = nnx.eval_shape(lambda: models.VGG(16, rngs=nnx.Rngs(0)))
      >>> analysis.receptive_field(model.features, (1, 224, 224, 3))
      Field(size=(212, 212), strides=(32, 32), start=(-90, -90), output_shape=(7, 7))
      >>> doubled = nnx.eval_shape(lambda: models.UNet(widths=(4, 8), rngs=nnx.Rngs(0)))
      >>> analysis.receptive_field(doubled, (1, 64, 64, 3)).sees((32, 33))
      ((24, 42), (24, 42))
      >>> analysis.receptive_field(lambda x: nnx.max_pool(x, (3, 3), (2, 2)), (1, 9, 9, 2)).size
      (3, 3)

    References:
      A. Araujo, W. Norris and J. Sim, Computing receptive fields of convolutional neural networks,
      Distill, 2019.
    """
    given = shapes_of(inputs)
    shapes = [array.shape for array in jax.tree.leaves(given)]
    if all(len(shape) < 3 for shape in shapes):
        raise ValueError(
            "`inputs` must have batch, spatial axes and channels, such as (1, 224, 224, 3); "
            f"received {', '.join(map(str, shapes))}"
        )
    recording = record(model, *given)
    try:
        seen = followed(recording)
    except Unknown as unknown:
        raise TypeError(
            f"`model` does {unknown}, of which is unknown what it sees; "
            "`visualize.receptive_field` measures the field of any function"
        ) from None
    found = [to_field(each, recording.image.shape) for each in seen]
    return jax.tree.unflatten(jax.tree.structure(recording.outputs), found)


def followed(recording: Recording, note: Any = None) -> list[Seen]:
    """What each output sees; `note` is told the number of each call and what its output sees.

    Raises:
      ValueError: one does not depend on the image.
      Unknown: by a primitive that nobody here knows.
    """
    shape = recording.image.shape
    given: list[Seen | None] = [None] * len(recording.jaxpr.jaxpr.invars)
    given[recording.first] = of_image(shape, range(1, len(shape) - 1))
    numbers = None if note is None else lambda equation, seen: note(equation.params["name"], seen)
    seen = follow(recording.jaxpr, given, numbers)
    if None in seen:
        raise ValueError("`model` must give what depends on its inputs; an output does not")
    return [each for each in seen if each]


def to_field(seen: Seen, shape: tuple[int, ...]) -> Field | None:
    """The field along the axes of an array that are pixels; None where all is seen."""
    for axis in range(len(seen.axes)):
        seen = seen.folded(axis)
    for axis, atoms in enumerate(seen.axes):
        if len({atom.number for atom in atoms}) > 1:  # pixels among channels, as in a flattening
            seen = seen.reduced([axis])
    if len(seen.axes) == len(shape):
        for number, sight in enumerate(seen.sees):  # all units of an axis see the same
            alone = not seen.atoms(number) and not seen.numbers([number + 1])
            units = seen.shape()[number + 1]
            if alone and len(sight.real) == 1 < units:
                seen = seen.with_sight(number, Sight(sight.phases[:1], 0, sight.real * units))
    everything = zip(seen.sees, shape[1:-1], strict=True)
    if all(set(sight.real) == {(0, size)} and sight.step == 0 for sight, size in everything):
        return None
    return Field.of_sights(seen.sees)

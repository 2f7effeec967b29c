"""What the units of a feature map see of an image, and how each kind of layer changes it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from fractions import Fraction

from jaxcnn.geometry.integers import IntPerAxis, per_axis
from jaxcnn.geometry.inverse import transposed_windows
from jaxcnn.geometry.padding import Padding, fill_and_amounts
from jaxcnn.geometry.sight import Sight
from jaxcnn.geometry.sliding import windows


@dataclass(frozen=True, slots=True)
class Field:
    """Where the units of a feature map look, along each spatial axis.

    Unit i sees the pixels from `start + i * strides`, `size` of them; those outside the image are
    padding. Behind an upsampling neighbouring units may look at the same pixels: these numbers then
    bound what each sees, and `sees` is exact.

    A layer says what its outputs see by these methods: each returns the field after one step.

    Attributes:
      size: pixels that a unit sees.
      strides: pixels between what a unit and the next one see; fractions where an upsampling gives
        more units than there are pixels.
      start: the first pixel that the first unit sees; negative in the padding.
      output_shape: units.
      sights: what each unit sees along each axis.
    """

    size: tuple[int, ...]
    strides: tuple[int | Fraction, ...]
    start: tuple[int, ...]
    output_shape: tuple[int, ...]
    sights: tuple[Sight, ...] = dataclass_field(repr=False)

    @classmethod
    def of_image(cls, sizes: Sequence[int]) -> "Field":
        """Every pixel of an image sees itself."""
        return cls.of_sights(map(Sight.of_image, sizes))

    @classmethod
    def of_sights(cls, sights: Iterable[Sight]) -> "Field":
        """The field whose units see what is given for each axis."""
        sights = tuple(sights)
        hulls = [axis.hull() for axis in sights]
        strides = (axis.stride() for axis in sights)
        return Field(
            tuple(size for _, size in hulls),
            tuple(int(s) if s.denominator == 1 else s for s in strides),
            tuple(first for first, _ in hulls),
            tuple(len(axis.real) for axis in sights),
            sights,
        )

    def sees(self, unit: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """The first pixel of the image and the one past the last that a unit sees, per axis.

        Both are 0 where it sees padding alone.
        """
        return tuple(axis.real[index] for axis, index in zip(self.sights, unit, strict=True))

    def windows(
        self,
        window_shape: Sequence[int],
        *,
        strides: IntPerAxis | None = 1,
        padding: Padding = "VALID",
        dilation: IntPerAxis | None = 1,
        input_dilation: IntPerAxis | None = 1,
        ceil_mode: bool = False,
    ) -> "Field":
        """The field after a convolution or a pool: options as these take them, None for 1."""
        size, spacing = tuple(window_shape), 1 if dilation is None else dilation
        spacing = per_axis("dilation", spacing, len(size))
        where = windows(
            self.output_shape,
            size,
            strides=1 if strides is None else strides,
            padding=fill_and_amounts(padding, "zeros", size, spacing)[0],
            dilation=spacing,
            input_dilation=1 if input_dilation is None else input_dilation,
            ceil_mode=ceil_mode,
            crop=True,
        )
        steps = zip(
            *(self.sights, where.window_shape, where.dilation, where.padding),
            *(where.strides, where.output_shape, where.input_dilation),
            strict=True,
        )
        return Field.of_sights(
            axis.windows([tap * space - low for tap in range(taps)], stride, units, rate)
            for axis, taps, space, (low, _), stride, units, rate in steps
        )

    def transposed_windows(
        self,
        window_shape: Sequence[int],
        *,
        strides: IntPerAxis | None = 1,
        padding: Padding = "VALID",
        dilation: IntPerAxis | None = 1,
    ) -> "Field":
        """The field after a transposed convolution: options as it takes them, None for 1."""
        where = transposed_windows(
            self.output_shape,
            tuple(window_shape),
            strides=1 if strides is None else strides,
            padding=padding,
            dilation=1 if dilation is None else dilation,
            crop=True,
        )
        steps = zip(
            *(self.sights, where.window_shape, where.dilation, where.padding),
            *(where.strides, where.sizes),
            strict=True,
        )
        return Field.of_sights(
            axis.windows([low - tap * space for tap in range(taps)], 1, units, stride)
            for axis, taps, space, (low, _), stride, units in steps
        )

    def resized(self, scale: IntPerAxis, method: str = "nearest") -> "Field":
        """The field after an upsampling by whole numbers, "nearest" or "linear"."""
        scales = per_axis("scale", scale, len(self.sights))
        each = zip(self.sights, scales, strict=True)
        return Field.of_sights(axis.resized(times, method == "linear") for axis, times in each)

    def cropped(self, like: "Field", *, centre: bool = False) -> "Field":
        """As large as `like`: the beginning of the map, or its middle."""
        sizes = zip(self.sights, self.output_shape, like.output_shape, strict=True)
        return Field.of_sights(
            axis.cropped((before - after) // 2 if centre else 0, after)
            for axis, before, after in sizes
        )

    def union(self, other: "Field") -> "Field":
        """What is seen in a sum of two maps, or in maps whose channels are joined."""
        if other is EVERYTHING:
            return other
        return Field.of_sights(a.union(b) for a, b in zip(self.sights, other.sights, strict=True))

    def everything(self) -> "Field":
        """The field after a layer whose outputs all depend on every pixel, such as a flattening."""
        return EVERYTHING


class _Everything(Field):
    """Every unit sees every pixel; no layer changes that."""

    __slots__ = ()

    def _same(self, *args: object, **options: object) -> Field:
        return self

    windows = transposed_windows = resized = cropped = union = _same


EVERYTHING = _Everything((), (), (), (), ())
# Given a field and the names or numbers that lead to a part of a layer: the field after that part.
After = Callable[..., Field]


def sees_everything(layer: object, field: Field, after: After) -> Field:
    """The method `receptive_field` of layers whose outputs all depend on every pixel."""
    return field.everything()

"""What the units of a feature map see of an image, along all spatial axes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from fractions import Fraction

from jaxcnn.geometry.sight import Sight


@dataclass(frozen=True, slots=True)
class Field:
    """Where the units of a feature map look, along each spatial axis.

    Unit i sees the pixels from `start + i * strides`, `size` of them; those outside the image are
    padding. Behind an upsampling neighbouring units may look at the same pixels: these numbers then
    bound what each sees, and `sees` is exact. Units at the edge that see pixels of the image in
    place of padding, such as mirrored ones, are told by `sees` alone.

    Attributes:
      size: pixels that a unit sees.
      strides: pixels between what a unit and the next one see; fractions where an upsampling gives
        more units than there are pixels, 0 along an axis where all units see the same.
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

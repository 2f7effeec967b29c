"""Cases of grey-scale dilation and erosion."""

from jaxcnn import functional, reference
from jaxcnn.testing.registry import register, tied

KINKS = {"differences": False}  # ties have no difference quotient

# A sum rounded to 16 bits has ties that the exact one has not: there only whole numbers agree.
SINGLE = ("float64", "float32")

for _name in ("grey_dilation", "grey_erosion"):
    (
        register(_name, getattr(functional, _name), getattr(reference, f"{_name}_vjp"),
                 dtypes=SINGLE)
        .case("2-D", (2, 5, 6, 2), (3, 2, 2))
        .case("strides and padding", (2, 5, 6, 2), (3, 3, 2), strides=2, padding=((1, 0), (2, 1)))
        .case("kernel dilation", (2, 6, 7, 2), (3, 2, 2), kernel_dilation=2, padding="VALID")
        .case("1-D, full", (2, 7, 2), (4, 2), padding="FULL")
        .case("3-D", (3, 4, 5, 2), (2, 3, 2, 2))
        .case("ties", tied(2, 5, 6, 2), tied(3, 2, 2), checks=KINKS,
              dtypes=("float64", "float32", "float16", "bfloat16"))
        .case("above 8,192 elements", (2, 40, 36, 3), (3, 3, 3), strides=2)
    )  # fmt: skip

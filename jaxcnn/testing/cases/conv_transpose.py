"""Cases of transposed convolution."""

from jaxcnn import functional, reference
from jaxcnn.testing.registry import register

(
    register("conv_transpose", functional.conv_transpose, reference.conv_transpose_vjp, linear=True)
    .case("2-D", (2, 4, 5, 3), (3, 2, 3, 4), strides=2)
    .case("complex", (2, 4, 5, 3), (3, 2, 3, 4), strides=(2, 1), dtypes=("complex128", "complex64"))
    .case("bias", (2, 4, 5, 3), (3, 2, 3, 4), (4,), strides=(2, 1))
    .case("1-D", (2, 6, 3), (4, 3, 4), strides=3, padding="VALID")
    .case("3-D", (3, 2, 4, 2), (2, 3, 2, 2, 3), strides=(2, 1, 2), padding="VALID")
    .case("no batch axis", (4, 5, 3), (3, 2, 3, 4), strides=2)
    .case("explicit padding", (2, 4, 5, 3), (3, 3, 3, 4), strides=2, padding=((1, 0), (1, 1)))
    .case("output padding", (2, 4, 5, 3), (3, 3, 3, 4), strides=(2, 3), padding=1,
          output_padding=(1, 2))
    .case("output shape", (2, 4, 5, 3), (3, 3, 3, 4), strides=2, padding=1, output_shape=(8, 9))
    .case("kernel dilation", (2, 4, 5, 3), (3, 2, 3, 4), strides=2, kernel_dilation=(2, 3),
          padding="VALID")
    .case("groups", (2, 4, 5, 4), (3, 2, 2, 6), strides=2, feature_group_count=2)
    .case("transposed kernel", (2, 4, 5, 3), (3, 2, 4, 3), strides=2, transpose_kernel=True)
    .case("transposed kernel and groups", (2, 4, 5, 4), (3, 2, 3, 4), strides=2,
          transpose_kernel=True, feature_group_count=2)
    .case("kernel smaller than the stride", (2, 4, 5, 3), (2, 2, 3, 4), strides=3, padding="VALID")
    .case("above 8,192 elements", (2, 16, 17, 18), (3, 3, 18, 4), strides=2)
)  # fmt: skip

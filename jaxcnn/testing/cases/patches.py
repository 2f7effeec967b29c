"""Cases of what moves pixels: dilate, unfold, fold, space and depth."""

from jaxcnn import functional, reference
from jaxcnn.testing.registry import register

(
    register("dilate", functional.dilate, reference.dilate_vjp, linear=True)
    .case("2-D", (2, 4, 3, 2), rate=(2, 3))
    .case("1-D, no batch axis", (5, 2), rate=(3,))
)

(
    register("unfold", functional.unfold, reference.unfold_vjp, linear=True)
    .case("2-D", (2, 5, 6, 2), window_shape=(3, 2))
    .case("strides and padding", (2, 5, 6, 2), window_shape=(3, 2), strides=2, padding=(1, (0, 1)))
    .case("window dilation", (2, 6, 7, 2), window_shape=(3, 2), window_dilation=(2, 3))
    .case("3-D, same", (3, 4, 3, 2), window_shape=(2, 2, 3), padding="SAME")
)

(
    register("fold", functional.fold, reference.fold_vjp, linear=True)
    .case("2-D", (2, 3, 5, 3, 2, 2), output_shape=(5, 6))
    .case("strides and padding", (2, 3, 3, 3, 2, 2), output_shape=(5, 6), strides=2,
          padding=((1, 1), (0, 0)))
    .case("window dilation", (2, 2, 4, 3, 2, 2), output_shape=(6, 7), window_dilation=(2, 3))
)  # fmt: skip

(
    register("space_to_depth", functional.space_to_depth, reference.space_to_depth_vjp, linear=True)
    .case("CRD", (2, 4, 6, 3), block_shape=(2, 3))
    .case("DCR", (2, 4, 6, 3), block_shape=(2, 3), order="DCR")
)

(
    register("depth_to_space", functional.depth_to_space, reference.depth_to_space_vjp, linear=True)
    .case("CRD", (2, 2, 3, 12), block_shape=(2, 3))
    .case("DCR", (2, 2, 3, 12), block_shape=(2, 3), order="DCR")
)

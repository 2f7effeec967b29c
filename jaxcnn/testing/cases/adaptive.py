"""Cases of pools whose windows follow from the size: adaptive, global, pyramid, fractional."""

import numpy as np

from jaxcnn import functional, reference
from jaxcnn.testing.registry import distinct, register, tied

KINKS = {"differences": False}

(
    register("adaptive_avg_pool", functional.adaptive_avg_pool, reference.adaptive_avg_pool_vjp,
             linear=True)
    .case("2-D", (2, 7, 5, 2), output_shape=(3, 2))
    .case("larger than the input", (2, 3, 4, 2), output_shape=(5, 7))
    .case("an axis kept", (2, 7, 5, 2), output_shape=(None, 2))
    .case("1-D", (2, 11, 2), output_shape=(4,))
    .case("3-D", (3, 4, 5, 2), output_shape=(2, 3, 2))
)  # fmt: skip

for _name in ("adaptive_max_pool", "adaptive_max_pool_with_indices"):
    (
        register(_name, getattr(functional, _name), getattr(reference, f"{_name}_vjp"))
        .case("2-D", distinct(2, 7, 5, 2), output_shape=(3, 2))
        .case("larger than the input", distinct(2, 3, 4, 2), output_shape=(5, 7))
        .case("an axis kept", distinct(2, 7, 5, 2), output_shape=(None, 2))
        .case("3-D", distinct(3, 4, 5, 2), output_shape=(2, 3, 2))
        .case("ties", tied(2, 7, 5, 2), output_shape=(3, 2), checks=KINKS)
    )

(
    register("global_avg_pool", functional.global_avg_pool, reference.global_avg_pool_vjp,
             linear=True)
    .case("2-D", (2, 5, 4, 3))
    .case("one axis kept in place", (2, 5, 4, 3), spatial_axes=1, keepdims=True)
)  # fmt: skip

(
    register("global_max_pool", functional.global_max_pool, reference.global_max_pool_vjp)
    .case("2-D", distinct(2, 5, 4, 3))
    .case("two of three axes", distinct(5, 4, 3, 2), spatial_axes=(1, 2))
    .case("ties", tied(2, 5, 4, 3), checks=KINKS)
)

(
    register("spatial_pyramid_pool", functional.spatial_pyramid_pool,
             reference.spatial_pyramid_pool_vjp)
    .case("largest", distinct(2, 7, 5, 2), levels=((1, 1), (2, 2), (3, 4)))
    .case("average", (2, 7, 5, 2), levels=((1, 1), (2, 3)), reducer="avg", checks={"linear": True})
)  # fmt: skip

for _name in ("fractional_max_pool", "fractional_max_pool_with_indices"):
    (
        register(_name, getattr(functional, _name), getattr(reference, f"{_name}_vjp"))
        .case("2-D", distinct(2, 7, 8, 3), window_shape=(2, 3), output_shape=(4, 3),
              samples=np.random.default_rng(3).random((2, 3, 2), np.float32))
        .case("1-D", distinct(2, 9, 2), window_shape=(3,), output_shape=(4,),
              samples=np.random.default_rng(4).random((2, 2, 1), np.float32))
        .case("ties", tied(2, 7, 8, 3), window_shape=(2, 3), output_shape=(4, 3), checks=KINKS,
              samples=np.random.default_rng(3).random((2, 3, 2), np.float32))
    )  # fmt: skip

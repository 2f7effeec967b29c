"""The gradient comparison: autodiff against hand-derived gradients, primitive by primitive.

    python -m experiments.gradients                        every row; exits 1 if one differs
    python -m experiments.gradients --filter max_pool      the rows of one primitive
    python -m experiments.gradients --algorithms           each case by every algorithm too
    python -m experiments.gradients --module my_module     a module that registers more
    python -m experiments.gradients --part 2/4             the second of every four rows

Nearly all of the time is XLA's: 9 programs a row in float64, compiled as users' are. With
XLA_FLAGS=--xla_backend_optimization_level=0 it takes two thirds of that (25 s of CPU in place of 36
for the 15 rows of `max_pool`), and holds less: faults of the optimiser stay unseen.

The rows, and how they are compared, are `jaxcnn.testing`'s; each file in `jaxcnn/testing/cases/`
holds the cases of one family, and a line there adds one.
"""

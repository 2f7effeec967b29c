"""The gradient comparison: autodiff against hand-derived gradients, primitive by primitive.

    python -m experiments.gradients                        every row; exits 1 if one differs
    python -m experiments.gradients --filter max_pool      the rows of one primitive
    python -m experiments.gradients --algorithms           each case by every algorithm too
    python -m experiments.gradients --module my_module     a module that registers more

Each `cases_*.py` beside this file holds the cases of one family; a line adds one.
"""

from experiments.gradients.registry import distinct, fixed, normal, register, tied, uniform

__all__ = ["distinct", "fixed", "normal", "register", "tied", "uniform"]

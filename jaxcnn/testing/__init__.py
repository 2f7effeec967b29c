"""Checks of gradients, and a table of primitives and cases to run them over; for users' suites too.

    from jaxcnn.testing import check_gradients       one function at one set of arguments
    from jaxcnn.testing import register              rows of one's own in the table
    from jaxcnn.testing import as_on                 the forms of another platform

The rows of the table, `jaxcnn`'s own among them, are tests like any other:

    @pytest.mark.parametrize("case, dtype", select("conv"))
    def test_row(case, dtype):
        outcome = compare_row(case, dtype)
        assert outcome.passed, outcome.message
"""

from jaxcnn.testing._comparison import Comparison, GradientError, Report
from jaxcnn.testing.checks import check_gradients, check_transforms
from jaxcnn.testing.platforms import as_on
from jaxcnn.testing.registry import (
    Case,
    Primitive,
    distinct,
    fixed,
    normal,
    primitives,
    register,
    tied,
    uniform,
)
from jaxcnn.testing.rows import Outcome, compare_row, compare_rows, select

__all__ = [
    "Case",
    "Comparison",
    "GradientError",
    "Outcome",
    "Primitive",
    "Report",
    "as_on",
    "check_gradients",
    "check_transforms",
    "compare_row",
    "compare_rows",
    "distinct",
    "fixed",
    "normal",
    "primitives",
    "register",
    "select",
    "tied",
    "uniform",
]

"""What these tests share."""

import doctest

import pytest

from jaxcnn.testing import registry


@pytest.fixture
def softplus():
    """The documented example, run as a doctest."""
    finder, names = doctest.DocTestFinder(recurse=False), {}
    (example,) = finder.find(registry, globs=names)
    outcome = doctest.DocTestRunner().run(example, clear_globs=False)
    assert outcome.attempted >= 6 and outcome.failed == 0
    return example.globs["entry"]

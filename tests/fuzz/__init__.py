"""Random calls of every primitive, held against the contract: the reference, PyTorch, the errors.

    python -m tests.fuzz                            1,000 calls; exits 1 if one fails
    python -m tests.fuzz --draws 20000              the nightly mode
    python -m tests.fuzz --primitive max_pool       those of one primitive
    python -m tests.fuzz poison                     see `tests.fuzz.poison`

A failure is printed as a line of Python, which makes the same call again:

    from tests.fuzz.replay import *
    replay('dilate', {'inputs': Values(shape=(2, 3, 1), dtype='float32', seed=7), 'rate': (2,)})
"""

import sys

if sys.argv[:1] == ["-m"]:  # it is being started, and nothing is imported yet
    if "poison" in sys.orig_argv:
        from tests.fuzz.poison import allocator

        allocator.prepare()

    import experiments  # noqa: F401  so that Ctrl-C and SIGTERM end it with a line

"""Random calls of every primitive, held against the contract: the reference, PyTorch, the errors.

    python -m experiments.fuzz                            1,000 calls; exits 1 if one fails
    python -m experiments.fuzz --draws 20000              the nightly mode
    python -m experiments.fuzz --primitive max_pool       those of one primitive
    python -m experiments.fuzz poison                     see `experiments.fuzz.poison`

A failure is printed as a line of Python, which makes the same call again:

    from experiments.fuzz.replay import *
    replay('dilate', {'inputs': Values(shape=(2, 3, 1), dtype='float32', seed=7), 'rate': (2,)})
"""

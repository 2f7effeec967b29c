"""The same bits every time, also where a program's memory and all around it is poisoned.

    python -m tests.fuzz poison                     rows of the gradient tables, and draws
    python -m tests.fuzz poison --rows one          one row of each primitive and algorithm
    python -m tests.fuzz poison --primitive conv    those of some primitives

Each program, a value with all its gradients, runs 20 times in one process under the compiler flags
that users have, and is held against the reference.
"""

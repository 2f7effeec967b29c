"""The benchmark: what each primitive and network takes, beside what else one could use.

    python -m experiments.benchmark                             primitives on the CPU
    python -m experiments.benchmark --suite models --in-scan    training steps, in a scan too
    python -m experiments.benchmark --filter "max 3x3" --quick  some rows, three samples each
    python -m experiments.benchmark --torch-python PATH         PyTorch of another environment
    python -m experiments.benchmark --in-scan --save            a results file for this machine
    python -m experiments.benchmark --compile-for h100          kernels and bytes, none measured
    python -m experiments.benchmark readme                      the READMEs' tables from the files

Each `rows_*.py` beside this file holds the rows of one family; a line adds one. How the numbers
come about: `timing.py` (time), `compiled.py` (compile time, memory), `check.py` (are the results
the same?), `ceiling.py` (what the machine could do at best), `compile_for/` (what the compiler of a
device that is not here makes of the rows).
"""

from experiments.benchmark.registry import register

__all__ = ["register"]

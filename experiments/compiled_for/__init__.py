"""What the compiler of a device that is not here makes of a program, and what that tells.

    description.py   a device: what is known of it, read from a file in `devices/` or your own
    target.py        compiles for it, for one or for a mesh of many; memory of the result
    hlo.py           reads the text of a compiled program
    kernels.py       the kernels it launches: bytes, loads, operations, cycles
    kinds.py         what a kernel is called
    loads.py         of a fusion: what it reads, writes and loads
    flops.py         of convolutions and products of matrices
    schedules.py     of a TPU: the compiler's schedules, and the cycles counted in them
    bundles.py       follows a schedule through its loops; scalars.py: what its scalars come to
    model.py         the time these would take, with what is assumed
    workers.py       processes that compile, since the compilers ask for variables before JAX starts

Two lines, in a process with `load("h100").environment` set before JAX is imported:

    target = Target(load("h100"))
    program = kernels(target.compile(function, shapes))
"""

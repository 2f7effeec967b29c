"""The rows compiled for a device that is not here: kernels, bytes, modelled time, beside the peers.

    python -m experiments.benchmark --compile-for h100 --dtype bfloat16
    python -m experiments.benchmark --compile-for tpu-v5e --filter "max pools"
    python -m experiments.benchmark --compile-for my_gpu.toml

Nothing runs, so nothing is measured: what is told is what the device's own compiler makes of each
program. How it is read, and what a modelled time assumes, is in `experiments/compiled_for`.
"""

"""Everything that a device has to tell, in one command of a few minutes.

    python -m experiments.device                       all, within 8 minutes
    python -m experiments.device --minutes 3 --parts exact
    python -m experiments.device --platform cpu --filter "max 3x3" --case max_pool --images 500

For a machine that is there for minutes: each part has a share of the time, what matters comes
first, what did not fit is told, and the file of results is written anew after every step.

    __main__.py      the command and its options
    run.py           the parts, one after another
    budget.py        how long there is; an order in which every kind has its turn
    exact.py         values and gradients of every primitive and algorithm, twice for equal bits
    exact_worker.py  a process that compares
    epochs.py        LeNet-5's and the CIFAR speed network's epochs
    speed.py         the benchmark's rows beside lax, Flax, PyTorch and torch.compile
    ahead.py         a process that compiles a row before it is measured, and models its time
    report.py        the file of results, and the tables

The model is that of `experiments/compiled_for`, of the programs that the device itself runs.
"""

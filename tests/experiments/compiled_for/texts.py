"""Texts of compiled programs, cut down to what is read of them."""

from pathlib import Path

FOLDER = Path(__file__).parent / "texts"

# A loop of four rounds, a branch, a transposition, a fusion of slices, updates in place.
GPU = (FOLDER / "gpu.txt").read_text()
CUDNN = (FOLDER / "cudnn.txt").read_text()
# Exchanges between devices, one of them behind a kernel.
EXCHANGE = (FOLDER / "exchange.txt").read_text()
# S(1) is memory on the chip.
TPU = (FOLDER / "tpu.txt").read_text()
# A loop of three rounds; a jump over one bundle where the round's number is even.
BUNDLES = (FOLDER / "bundles.txt").read_text()
# A loop that is jumped over: to the end, whose region is not marked as the others are.
SCATTER = (FOLDER / "scatter.txt").read_text()

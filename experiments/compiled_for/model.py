"""The time of a compiled program, by a model. Bytes and kernels are facts; this is none.

Assumed, for a GPU:

- A kernel takes 2 us to launch and to end, and none runs beside another.
- Beside that it takes the largest of three times: its bytes at the bandwidth of the large memory,
  each array once, whatever a cache may hold from the kernel before; the values that its windows and
  slices load, at 32 a clock and core whatever their width; the operations of its convolutions and
  products of matrices at 0.8 of the peak. Operations on single values, exponentials too, are free.
- cuDNN and cuBLAS move each array once and compute at that share of the peak, whatever the shape
  and the layout. Their own conversions and workspaces are not counted.
- A scatter costs what it moves: that its additions wait for each other is not counted.
- A collective moves its bytes over the slowest link on its way, a reduction of all to all twice,
  and hides behind the kernels between its start and its end.

For a TPU:

- A kernel takes the cycles of the compiler's own schedule (`bundles.py`), or its bytes at the
  bandwidth, tiles with what fills them, or its products at the peak, if that is more. What waits
  within the schedule is not counted, nor the begin and end of a kernel.
- Where there is no schedule to read, it takes the cycles that the compiler estimated before; where
  it estimates none, for windows, one cycle for 1,024 values loaded.
- Copies that run beside the rest are free, but all bytes together need their time.
"""

import dataclasses

from experiments.compiled_for.description import Description
from experiments.compiled_for.kernels import Kernel, Program
from experiments.compiled_for.kinds import SELECT_AND_SCATTER

LAUNCH = 2e-6
SHARE_OF_PEAK = 0.8
UNESTIMATED = ("reduce-window", SELECT_AND_SCATTER)  # of a TPU


@dataclasses.dataclass(frozen=True)
class Time:
    """Seconds of one launch of a kernel, and of what it consists; the largest counts.

    Attributes:
      launch: to begin and end.
      bytes, loads, flops, exchange: of moving, loading, computing, exchanging between devices.
    """

    launch: float = 0.0
    bytes: float = 0.0
    loads: float = 0.0
    flops: float = 0.0
    exchange: float = 0.0

    @property
    def bound(self) -> str:
        """What takes longest."""
        fields = ("bytes", "loads", "flops", "exchange", "launch")
        return max(fields, key=lambda name: getattr(self, name))

    @property
    def total(self) -> float:
        """All in all."""
        return self.launch + max(self.bytes, self.loads, self.flops, self.exchange)


def time(kernel: Kernel, device: Description, devices: int = 1) -> Time:
    """Of one launch, in a program that runs on so many devices."""
    if kernel.collective:
        within = devices <= device.devices_a_node
        link = device.interconnect if within else device.network
        twice = 2 if kernel.kind == "all-reduce" else 1
        exchange = twice * kernel.exchanged / link if link and devices > 1 else 0.0
        return Time(LAUNCH if device.clock is None else 0.0, exchange=exchange)
    if device.clock is not None:
        return _by_cycles(kernel, device, device.clock)
    peak = device.peak.get(kernel.dtype) or device.peak.get("f32", 0.0)
    return Time(
        LAUNCH,
        (kernel.read + kernel.written) / device.bandwidth,
        kernel.loads / device.loads if device.loads else 0.0,
        kernel.flops / (SHARE_OF_PEAK * peak) if peak else 0.0,
    )


def _by_cycles(kernel: Kernel, device: Description, clock: float) -> Time:
    if kernel.aside:
        return Time()
    moved = (kernel.read + kernel.written) / device.bandwidth
    if kernel.cycles is not None:
        peak = device.peak.get(kernel.dtype)
        products = kernel.flops / peak if peak else 0.0
        return Time(bytes=moved, flops=max(kernel.cycles / clock, products))
    windows = kernel.loads / device.loads if device.loads and kernel.kind in UNESTIMATED else 0.0
    return Time(bytes=moved, loads=windows)


def seconds(program: Program, device: Description, devices: int = 1) -> float:
    """Of the whole program; what is exchanged behind kernels is free."""
    found = sum(
        kernel.times * time(kernel, device, devices).total
        for kernel in program.kernels
        if not kernel.hidden
    )
    return found if device.clock is None else max(found, program.bytes / device.bandwidth)

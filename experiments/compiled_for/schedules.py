"""The schedules that the compiler of a TPU writes down, and the cycles counted in them.

Its own `estimated_cycles` are made before it has a schedule, to choose among windows. For windows
(`reduce-window`, `select-and-scatter`) there are none. Compiled for a TPU v5e: of a matrix product,
4096 x 1024 x 1024 in bfloat16, 82 thousand estimated, 54 scheduled, 66 at the peak; of a 3x3
convolution of 128 channels 96, 73 and 74; of a pass over 67 MB 157, 9, and 123 for the bytes. Of
slices and pads that stay on the chip, as those of a 3x3 pool, 230 and 44, 297 and 23: so the
schedule itself is followed, and what the bytes and products take at the least set beside it.
"""

import atexit
import dataclasses
import os
import re
import shutil
import tempfile
from pathlib import Path

from experiments.compiled_for import bundles
from experiments.compiled_for.kernels import Program

_FILE = re.compile(r"^\d+-(.+)-\d+-final_bundles\.txt$")


class Schedules:
    """Lets the compiler of a TPU write its schedules into a folder of this process.

    To be made before anything is compiled for a TPU: its library reads its options once.
    """

    def __init__(self):
        self._folder = Path(tempfile.mkdtemp(prefix="schedules-"))
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        options = {
            "xla_jf_dump_to": str(self._folder),
            "xla_jf_dump_llo_text": "true",
            "xla_jf_dump_llo_pass_label_regex": ".*final_bundles",
        }
        os.environ["LIBTPU_INIT_ARGS"] = " ".join(f"--{k}={v}" for k, v in options.items())

    def forget(self) -> None:
        """Takes away what was written so far: to be called before a program is compiled."""
        for path in self._folder.iterdir():
            path.unlink()

    def counted(self, program: Program) -> Program:
        """The program that was compiled last, with the cycles of its schedule where it has one.

        Names begin with the time: the last of a kernel's is its own. Nothing is left lying, for the
        next program has kernels of the same names.
        """
        paths = sorted(self._folder.iterdir(), key=lambda path: path.name)
        found = {match.group(1): path for path in paths if (match := _FILE.match(path.name))}
        names = {kernel.name for kernel in program.kernels}
        cycles = {name: bundles.cycles(found[name].read_text()) for name in names & found.keys()}
        self.forget()
        kernels = (
            kernel
            if cycles.get(kernel.name) is None
            else dataclasses.replace(kernel, cycles=cycles[kernel.name], scheduled=True)
            for kernel in program.kernels
        )
        return dataclasses.replace(program, kernels=tuple(kernels))

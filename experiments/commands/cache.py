"""Keeps what XLA compiled from one program to the next, in the user's cache folder.

JAX does the keeping. Here is what it leaves open: where, how much, and that none of it is in the
user's way. Whatever is wrong with the folder, a program goes on without it and says so in one line.

JAX's own settings hold where they are given: with JAX_COMPILATION_CACHE_DIR another folder, with
JAX_ENABLE_COMPILATION_CACHE=0 none. JAXCNN_COMPILE_CACHE=0 turns off what is done here, alone.
"""

import contextlib
import hashlib
import os
import platform
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

SWITCH = "JAXCNN_COMPILE_CACHE"
SETTINGS = {
    "jax_compilation_cache_max_size": 2**29,  # bytes; then what was not used for longest goes
    "jax_persistent_cache_min_compile_time_secs": 0.05,  # what compiles faster is not kept
}
LOCK = ".lockfile"  # JAX's, held while it reads or writes
LOCK_SECONDS = 10  # as long as JAX waits


def turn_on() -> None:
    """Has JAX keep what it compiles from here on, unless somebody wants it otherwise."""
    if os.environ.get(SWITCH, "1") in ("0", "off", "false", "no"):
        return
    import jax

    if jax.config.jax_compilation_cache_dir or not jax.config.jax_enable_compilation_cache:
        return
    place = folder()
    try:
        _prepare(place)
    except (OSError, TimeoutError) as error:
        _say(f"{place} cannot be used ({getattr(error, 'strerror', None) or error})")
        return
    for name, value in SETTINGS.items():
        if name.upper() not in os.environ:
            jax.config.update(name, value)
    jax.config.update("jax_compilation_cache_dir", str(place))
    _watch(place)


def folder() -> Path:
    """Where it lies: apart for each kind of processor, since machines may share a home folder.

    JAX takes one processor's programs for another's, which may lack what they use.
    """
    home = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(home) if os.path.isabs(home) else Path.home() / ".cache"
    return base / "jaxcnn" / "compiled" / f"{platform.machine()}-{_processor()}"


def _processor() -> str:
    """A short name for what the processor can do."""
    known = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        known = next((line for line in lines if line.startswith(("flags", "Features"))), known)
    return hashlib.sha256(known.encode()).hexdigest()[:12]


def _prepare(place: Path) -> None:
    """Makes the folder, or looks whether it can be written to and is whole.

    Raises:
      OSError: it cannot.
    """
    import filelock

    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryFile(dir=place) as file:
        file.write(b"\0" * 4096)
        file.flush()
    with filelock.FileLock(place / LOCK, timeout=LOCK_SECONDS):
        # JAX writes an entry, then when it was used: one without the other is one cut short.
        names = set(os.listdir(place))
        for name in names:
            if name.endswith("-cache") and f"{name.removesuffix('cache')}atime" not in names:
                (place / name).unlink()


def _watch(place: Path) -> None:
    """Takes JAX's warnings of entries that cannot be read or written for what they mean."""
    show = warnings.showwarning
    said = False

    def shown(message: Any, *rest: Any, **options: Any) -> None:
        nonlocal said
        doing, found, what = str(message).partition(" persistent compilation cache entry for ")
        if not found or doing not in ("Error reading", "Error writing"):
            show(message, *rest, **options)
            return
        if said:
            return
        said = True
        reason = what.partition(": ")[2].partition("\n")[0][:100]
        if doing == "Error reading" and not reason.startswith("Timeout"):
            _empty(place)  # or JAX would leave the entry as it is, and warn of it each time
            _say(f"an entry in {place} was damaged, all were removed ({reason})")
        else:
            _say(f"{place} cannot be used ({reason})")

    pattern = "Error (reading|writing) persistent compilation cache entry"
    warnings.filterwarnings("always", message=pattern)
    warnings.showwarning = shown


def _empty(place: Path) -> None:
    """Removes all entries."""
    import filelock

    with (
        contextlib.suppress(OSError, TimeoutError),
        filelock.FileLock(place / LOCK, timeout=LOCK_SECONDS),
    ):
        for name in os.listdir(place):
            if name.endswith(("-cache", "-atime")):
                with contextlib.suppress(OSError):
                    (place / name).unlink()


def _say(what: str) -> None:
    print(f"compile cache: {what}; compiling anew this time", file=sys.stderr, flush=True)

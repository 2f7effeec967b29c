"""The C library's allocator, told to keep what is freed in one place, where poison is laid.

Imports only the standard library, so that it can be told before anything else begins.
"""

import ctypes

LARGEST = 1 << 25  # bytes above which a block comes from the system, empty
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_PERTURB, M_ARENA_MAX = -1, -3, -6, -8  # of <malloc.h>

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]


def prepare() -> bool:
    """Keeps freed blocks in one place for all threads; call it before any thread starts.

    Returns:
      Whether this is the GNU C library.
    """
    if not hasattr(libc, "mallopt"):
        return False
    libc.mallopt(M_ARENA_MAX, 1)
    libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)
    return bool(libc.mallopt(M_MMAP_THRESHOLD, LARGEST))

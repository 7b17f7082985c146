"""A child process that stops when its parent dies (Linux)."""

import ctypes
import os
import signal

# From <linux/prctl.h>: the signal that the kernel sends to this process when the thread that started it ends.
PR_SET_PDEATHSIG = 1

# Loaded at import: between fork and exec a process may only call libraries that are loaded already.
_libc = ctypes.CDLL(None)


def stop_with_parent(parent: int) -> None:
    """Makes the kernel send SIGTERM to this process when its parent dies. Call it in the child, as `preexec_fn`.

    The kernel watches the thread that started the child, so start the child from a thread that lives long enough.

    Args:
        parent: The parent's process id. The child exits at once, with code 1, if the parent is already dead.
    """
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)

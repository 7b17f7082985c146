"""A child process that stops when its parent dies (Linux)."""

import ctypes
import os
import signal

# From <linux/prctl.h>: the signal that the kernel sends to this process when the thread that started it ends.
PR_SET_PDEATHSIG = 1

# Loaded here: between fork and exec only a library that is loaded already may be called.
_libc = ctypes.CDLL(None)


def stop_with_parent(parent: int) -> None:
    """Makes the kernel send SIGTERM to this process when its parent dies. For `preexec_fn`, in the child.

    The kernel watches the thread that started the child: start it from one that lives as long as it should.

    Args:
        parent: The parent's process id. The child ends at once if the parent is dead already.
    """
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)

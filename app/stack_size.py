"""Gives the process the stack size that Holoscan needs."""

import os
import resource
import sys

# Holoscan warns and may crash with smaller stacks. Threads take the limit at the process start.
STACK_BYTES = 32 * 1024 * 1024


def restart_with_larger_stack() -> None:
    """Replaces the process by the same command with a larger stack, if the limits allow it.

    Returns if the stack is large enough already or its limit can't be raised.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    enough = soft == resource.RLIM_INFINITY or soft >= STACK_BYTES
    allowed = hard == resource.RLIM_INFINITY or hard >= STACK_BYTES
    if enough or not allowed:
        return
    resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES, hard))
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606  no shell is wanted

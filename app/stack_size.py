"""What the process needs before Holoscan runs in it."""

import os
import resource
import sys

# Holoscan warns and may crash with smaller stacks; threads take the limit at process start.
STACK_BYTES = 32 * 1024 * 1024


def restart_with_larger_stack() -> None:
    """Replaces the process by the same command with a larger stack, where that is allowed.

    Returns if the stack is large enough already or may not grow.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    enough = soft == resource.RLIM_INFINITY or soft >= STACK_BYTES
    allowed = hard == resource.RLIM_INFINITY or hard >= STACK_BYTES
    if enough or not allowed:
        return
    resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES, hard))
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606  no shell is wanted

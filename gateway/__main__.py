"""Starts a process of the gateway (`python -m gateway`): prepares it before it imports the rest."""

import sys

from app.stack_size import restart_with_larger_stack

if __name__ == "__main__":
    restart_with_larger_stack()
    from gateway.process_main import main

    sys.exit(main())

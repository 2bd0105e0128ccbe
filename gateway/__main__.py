"""Starts a process of the gateway (`python -m gateway`): prepares it before it imports the rest."""

import sys

from app.stack_size import restart_with_larger_stack
from totalmap.import_without_garbage_collection import no_collection_during_imports

if __name__ == "__main__":
    restart_with_larger_stack()
    with no_collection_during_imports():
        from gateway.run_one_process import main

    sys.exit(main())

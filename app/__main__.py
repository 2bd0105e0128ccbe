"""Runs `python -m app`: prepares the process before it imports modules that start threads."""

import sys

from app.stack_size import restart_with_larger_stack
from app.stop_signals import hold_stop_signals
from totalmap.environment_variables import prepare_threads
from totalmap.import_without_garbage_collection import no_collection_during_imports

if __name__ == "__main__":
    hold_stop_signals()
    prepare_threads()
    restart_with_larger_stack()
    with no_collection_during_imports():
        from app.command_line import main

    sys.exit(main())

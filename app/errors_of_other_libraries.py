"""Turns exceptions of other libraries into errors with an exit status and without patient data."""

from collections.abc import Iterator
from contextlib import contextmanager

from totalmap.errors import InternalError, ResourceError, TotalMapError, internal_error

OUT_OF_MEMORY = "out of memory: give the run more memory, or use a coarser variant"
# Part of PyTorch's message on a CPU, which raises a RuntimeError.
TORCH_ALLOCATION_FAILED = "can't allocate memory"


@contextmanager
def foreign_errors_translated() -> Iterator[None]:
    """Turns all other exceptions into TotalMapErrors, so that every failure has a status.

    The message of a foreign exception may quote patient data and is not repeated.
    """
    try:
        yield
    except TotalMapError:
        raise
    except MemoryError as error:
        raise ResourceError(OUT_OF_MEMORY) from error
    except ImportError as error:
        raise InternalError(f"the installation is incomplete: {error}") from error
    except Exception as error:  # the boundary of the process: every failure needs a status
        if TORCH_ALLOCATION_FAILED in str(error):
            raise ResourceError(OUT_OF_MEMORY) from error
        raise internal_error(error) from error

"""Parses command lines without typer; wrong arguments raise a ConfigError."""

import argparse
from typing import NoReturn

from totalmap.errors import ConfigError


class ArgumentParser(argparse.ArgumentParser):
    """An argument parser that raises a ConfigError instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        """Raises a ConfigError."""
        raise ConfigError(f"{message} (see {self.prog} --help)")

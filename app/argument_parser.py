"""Reads command lines without typer: wrong arguments are errors of ours."""

import argparse
from typing import NoReturn

from totalmap.errors import ConfigError


class ArgumentParser(argparse.ArgumentParser):
    """A parser for which a wrong argument is an error of ours, with our exit status."""

    def error(self, message: str) -> NoReturn:
        """Raises a ConfigError."""
        raise ConfigError(f"{message} (see {self.prog} --help)")

"""`totalmap --version`."""

import typer

from totalmap import __version__


def print_version(is_wanted: bool) -> None:
    """Prints the versions of TotalMAP and TotalSegmentator and ends the command, if wanted."""
    if not is_wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        networks = f"TotalSegmentator {version('TotalSegmentator')}"
    except PackageNotFoundError:
        networks = "TotalSegmentator is not installed"
    typer.echo(f"TotalMAP {__version__}, {networks}")
    raise typer.Exit

"""`totalmap COMMAND`: run, inspect, models."""

import typer

from cli import inspect, models, run

app = typer.Typer(
    help="TotalSegmentator for hospitals: CT study in, DICOM results out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("inspect")(inspect.inspect)
app.add_typer(models.app, name="models")

if __name__ == "__main__":
    app(prog_name="totalmap")

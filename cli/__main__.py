"""`totalmap COMMAND`: run, inspect, check, trace, verify, models, deploy, serve, gateway ...

The modules of the commands import what a command needs when it runs, so that no help waits for it.
"""

from typing import Annotated

import typer

from cli import check, deploy, gateway, gateway_store, inspect, models, run, trace, verify
from cli.usage import CommandGroup
from cli.version import print_version

app = typer.Typer(
    cls=CommandGroup,
    help="TotalSegmentator for hospitals: CT study in, DICOM results out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("inspect")(inspect.inspect)
app.command("check")(check.check)
app.command("serve")(gateway.serve)
app.command("status")(gateway.status)
app.command("trace")(trace.print_trace)
app.command("verify")(verify.print_verification)
app.add_typer(models.app, name="models")
app.add_typer(deploy.app, name="deploy")
app.add_typer(gateway_store.app, name="gateway")


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=print_version,
            is_eager=True,
            help="Show the versions of TotalMAP and TotalSegmentator, and end.",
        ),
    ] = False,
) -> None:
    pass


if __name__ == "__main__":
    from cli.entry import main

    main()

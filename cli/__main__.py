"""`totalmap COMMAND`: run, inspect, check, trace, verify, models, deploy, serve, gateway ..."""

import typer

from cli import check, deploy, gateway, inspect, models, run, trace, verify

app = typer.Typer(
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
app.add_typer(gateway.app, name="gateway")

if __name__ == "__main__":
    app(prog_name="totalmap")

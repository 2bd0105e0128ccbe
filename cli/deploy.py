"""`totalmap deploy ...`: renders and validates the files of a site."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import errors_to_exit_status
from cli.options import Config
from deploy.site import Priority, Site, Target
from totalmap.defaults import DEFAULT_SETTINGS
from totalmap.errors import ExitStatus

if TYPE_CHECKING:
    from deploy.validate.validate_files import ValidationReport

app = typer.Typer(
    help="Renders and validates files for MONAI Deploy, Argo and Docker.", no_args_is_help=True
)

_NEXT_PAGE = {
    Target.DOCKER: "docs/monai-deploy.md (MONAI Deploy Express) or docs/docker.md (Docker alone)",
    Target.ARGO: "docs/argo.md",
}
_DEFAULTS = Site()


@app.command("render")
def render_command(
    folder: Annotated[Path, typer.Argument(help="Folder for the files.")],
    target: Annotated[Target, typer.Option(help="System that runs TotalMAP.")],
    config: Config = DEFAULT_SETTINGS,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files with other content.")
    ] = False,
    ae_title: Annotated[
        str, typer.Option(help="AE title that studies are sent to.")
    ] = _DEFAULTS.ae_title,
    pacs: Annotated[
        str, typer.Option(help="Informatics Gateway's name of the PACS that gets the results.")
    ] = _DEFAULTS.pacs,
    origin: Annotated[
        list[str] | None, typer.Option(help="DICOM source that may send; default: all. Repeatable.")
    ] = None,
    image: Annotated[
        str, typer.Option(help="Container image; default: totalmap:<version>.")
    ] = _DEFAULTS.image,
    user: Annotated[
        str, typer.Option(help="Numbers of user and group, as 1000:1000.")
    ] = _DEFAULTS.user,
    timeout_minutes: Annotated[
        int, typer.Option(min=1, help="Longest time for one study.")
    ] = _DEFAULTS.timeout_minutes,
    retention_days: Annotated[
        int, typer.Option(help="Days until the gateway's copy is deleted; -1: never.")
    ] = _DEFAULTS.retention_days,
    argo_url: Annotated[
        str, typer.Option(help="Argo: address of the server.")
    ] = _DEFAULTS.server_url,
    allow_insecure: Annotated[
        bool, typer.Option("--allow-insecure", help="Argo: accept any certificate of the server.")
    ] = _DEFAULTS.allow_insecure,
    namespace: Annotated[
        str, typer.Option(help="Argo: namespace of the workflows.")
    ] = _DEFAULTS.namespace,
    models_claim: Annotated[
        str,
        typer.Option(help="Argo: PersistentVolumeClaim with the weights; default: in the image."),
    ] = _DEFAULTS.models_claim,
    priority: Annotated[
        Priority, typer.Option(help="Argo: priority of the pods.")
    ] = _DEFAULTS.priority,
    parallel: Annotated[
        int, typer.Option(min=1, help="Argo: number of studies at a time.")
    ] = _DEFAULTS.parallel,
    notify: Annotated[
        list[str] | None,
        typer.Option(help="Argo: mail address for studies that can't be segmented. Repeatable."),
    ] = None,
) -> None:
    """Writes the files of a site, made from app.yaml and these options."""
    from cli.console import plain_console
    from deploy.render.render_files import render_files, write_files
    from totalmap.settings import load_settings

    console = plain_console()
    with errors_to_exit_status():
        site = Site(
            ae_title=ae_title,
            pacs=pacs,
            origins=tuple(origin or ()),
            image=image,
            user=user,
            timeout_minutes=timeout_minutes,
            retention_days=retention_days,
            server_url=argo_url,
            allow_insecure=allow_insecure,
            namespace=namespace,
            models_claim=models_claim,
            priority=priority,
            parallel=parallel,
            notify=tuple(notify or ()),
        )
        files = render_files(target, load_settings(config), site)
        for path in write_files(files, folder, force=force):
            console.print(f"written: {path}", soft_wrap=True)
        console.print(f"next: {_NEXT_PAGE[target]}", soft_wrap=True)


@app.command("check")
def check_command(
    files: Annotated[
        list[Path],
        typer.Argument(help="Clinical workflows (JSON) and Argo WorkflowTemplates (YAML)."),
    ],
) -> None:
    """Validates clinical workflows and Argo WorkflowTemplates before MONAI Deploy reads them."""
    from deploy.validate.validate_files import validate_files

    with errors_to_exit_status():
        report = validate_files(files)
        _show(report)
        if report.faults:
            raise typer.Exit(ExitStatus.USAGE)


def _show(report: "ValidationReport") -> None:
    from cli.console import plain_console

    console = plain_console()
    for fault in report.faults:
        console.print(str(fault), soft_wrap=True)
    for file, kind in report.skipped:
        console.print(f"{file}: not checked: {kind}", soft_wrap=True)
    if report.faults:
        console.print(f"faults: {len(report.faults)}", soft_wrap=True)
    else:
        for file, kind in report.validated:
            console.print(f"{file}: valid: {kind}", soft_wrap=True)

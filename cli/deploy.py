"""`totalmap deploy ...`: the files that a site needs, and their check."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import errors_to_exit_status
from cli.options import Config
from deploy.site import Priority, Site, Target
from totalmap.defaults import DEFAULT_SETTINGS
from totalmap.errors import ExitStatus

if TYPE_CHECKING:
    from deploy.validate.files import Report

app = typer.Typer(help="Files for MONAI Deploy, Argo and Docker.", no_args_is_help=True)

_NEXT = {
    Target.DOCKER: "docs/monai-deploy.md (MONAI Deploy Express) or docs/docker.md (Docker alone)",
    Target.ARGO: "docs/argo.md",
}
_USUAL = Site()


@app.command("render")
def render_command(
    folder: Annotated[Path, typer.Argument(help="Where the files are written.")],
    target: Annotated[Target, typer.Option(help="What runs TotalMAP.")],
    config: Config = DEFAULT_SETTINGS,
    force: Annotated[bool, typer.Option("--force", help="Replaces other files.")] = False,
    ae_title: Annotated[str, typer.Option(help="Where studies are sent to.")] = _USUAL.ae_title,
    pacs: Annotated[
        str, typer.Option(help="The gateway's name of the PACS that results go to.")
    ] = _USUAL.pacs,
    origin: Annotated[
        list[str] | None, typer.Option(help="A source that may send; none: all. Repeatable.")
    ] = None,
    image: Annotated[str, typer.Option(help="Image; none: totalmap:<version>.")] = _USUAL.image,
    user: Annotated[str, typer.Option(help="User and group, in numbers.")] = _USUAL.user,
    timeout_minutes: Annotated[
        int, typer.Option(min=1, help="What one study may take.")
    ] = _USUAL.timeout_minutes,
    retention_days: Annotated[
        int, typer.Option(help="When the gateway's copy is deleted; -1: never.")
    ] = _USUAL.retention_days,
    argo_url: Annotated[str, typer.Option(help="Argo's server.")] = _USUAL.server_url,
    allow_insecure: Annotated[
        bool, typer.Option("--allow-insecure", help="Takes any certificate of Argo.")
    ] = _USUAL.allow_insecure,
    namespace: Annotated[str, typer.Option(help="Where Argo runs workflows.")] = _USUAL.namespace,
    models_claim: Annotated[
        str, typer.Option(help="Argo: PersistentVolumeClaim with weights; none: in the image.")
    ] = _USUAL.models_claim,
    priority: Annotated[Priority, typer.Option(help="Argo: of the pods.")] = _USUAL.priority,
    parallel: Annotated[
        int, typer.Option(min=1, help="Argo: studies at a time.")
    ] = _USUAL.parallel,
    notify: Annotated[
        list[str] | None,
        typer.Option(help="Argo: mail about studies that can't be segmented. Repeatable."),
    ] = None,
) -> None:
    """Writes the files that a site needs, made from app.yaml and these options."""
    from cli.console import plain_console
    from deploy.render.site_files import render, write_files
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
        files = render(target, load_settings(config), site)
        for path in write_files(files, folder, force=force):
            console.print(f"written: {path}", soft_wrap=True)
        console.print(f"what comes next: {_NEXT[target]}", soft_wrap=True)


@app.command("check")
def check_command(
    files: Annotated[
        list[Path], typer.Argument(help="Clinical workflows (JSON) and WorkflowTemplates (YAML).")
    ],
) -> None:
    """Says what the Workflow Manager and Task Manager would refuse, or take and then fail at."""
    from deploy.validate.files import check_files

    with errors_to_exit_status():
        report = check_files(files)
        _show(report)
        if report.findings:
            raise typer.Exit(ExitStatus.USAGE)


def _show(report: "Report") -> None:
    from cli.console import plain_console

    console = plain_console()
    for finding in report.findings:
        console.print(str(finding), soft_wrap=True)
    for file, kind in report.unknown:
        console.print(f"{file}: not checked: {kind}", soft_wrap=True)
    if report.findings:
        console.print(f"faults: {len(report.findings)}", soft_wrap=True)
    else:
        for file, kind in report.checked:
            console.print(f"{file}: good: {kind}", soft_wrap=True)

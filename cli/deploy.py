"""`totalmap deploy ...`: renders and validates the files of a site."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import errors_to_exit_status
from cli.options import Config
from deploy.site_options import ClinicalReview, Priority, ReviewMode, Site, Target
from totalmap.default_locations import DEFAULT_SETTINGS
from totalmap.errors import ConfigError, ExitStatus

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


# The options of a site (deploy/site_options.py), with their help texts.
_AeTitle = Annotated[str, typer.Option(help="AE title that studies are sent to.")]
_Pacs = Annotated[
    str, typer.Option(help="Informatics Gateway's name of the PACS that gets the results.")
]
_Origins = Annotated[
    list[str] | None, typer.Option(help="DICOM source that may send; default: all. Repeatable.")
]
_Image = Annotated[str, typer.Option(help="Container image; default: totalmap:<version>.")]
_User = Annotated[str, typer.Option(help="Numbers of user and group, as 1000:1000.")]
_TimeoutMinutes = Annotated[int, typer.Option(min=1, help="Longest time for one study.")]
_RetentionDays = Annotated[
    int, typer.Option(help="Days until the gateway's copy is deleted; -1: never.")
]
_ArgoUrl = Annotated[str, typer.Option(help="Argo: address of the server.")]
_AllowInsecure = Annotated[
    bool, typer.Option("--allow-insecure", help="Argo: accept any certificate of the server.")
]
_Namespace = Annotated[str, typer.Option(help="Argo: namespace of the workflows.")]
_ModelsClaim = Annotated[
    str, typer.Option(help="Argo: PersistentVolumeClaim with the weights; default: in the image.")
]
_Priority = Annotated[Priority, typer.Option(help="Argo: priority of the pods.")]
_Parallel = Annotated[int, typer.Option(min=1, help="Argo: number of studies at a time.")]
_Notify = Annotated[
    list[str] | None,
    typer.Option(help="Argo: mail address for studies that can't be segmented. Repeatable."),
]
_ClinicalReview = Annotated[
    ReviewMode | None,
    typer.Option(
        case_sensitive=False,
        help="Argo: export results only after a clinician has accepted them in AIDE, with this "
        "mode of the application.",
    ),
]
_ReviewerRole = Annotated[
    list[str] | None,
    typer.Option(help="Argo: role of AIDE that may decide; default: clinician. Repeatable."),
]
_ReviewHours = Annotated[
    int | None, typer.Option(min=1, help="Argo: time for the decision; default: 48.")
]


@app.command("render")
def render_command(
    folder: Annotated[Path, typer.Argument(help="Folder for the files.")],
    target: Annotated[Target, typer.Option(help="System that runs TotalMAP.")],
    config: Config = DEFAULT_SETTINGS,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files with other content.")
    ] = False,
    ae_title: _AeTitle = _DEFAULTS.ae_title,
    pacs: _Pacs = _DEFAULTS.pacs,
    origin: _Origins = None,
    image: _Image = _DEFAULTS.image,
    user: _User = _DEFAULTS.user,
    timeout_minutes: _TimeoutMinutes = _DEFAULTS.timeout_minutes,
    retention_days: _RetentionDays = _DEFAULTS.retention_days,
    argo_url: _ArgoUrl = _DEFAULTS.server_url,
    allow_insecure: _AllowInsecure = _DEFAULTS.allow_insecure,
    namespace: _Namespace = _DEFAULTS.namespace,
    models_claim: _ModelsClaim = _DEFAULTS.models_claim,
    priority: _Priority = _DEFAULTS.priority,
    parallel: _Parallel = _DEFAULTS.parallel,
    notify: _Notify = None,
    clinical_review: _ClinicalReview = None,
    reviewer_role: _ReviewerRole = None,
    review_hours: _ReviewHours = None,
) -> None:
    """Writes the files of a site, made from app.yaml and these options."""
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
        review=_review(clinical_review, reviewer_role or (), review_hours),
    )
    _render(target, config, site, folder, force=force)


def _review(
    mode: ReviewMode | None, roles: Sequence[str], hours: int | None
) -> ClinicalReview | None:
    if mode is None:
        if roles or hours is not None:
            with errors_to_exit_status():
                raise ConfigError(
                    "--reviewer-role and --review-hours need --clinical-review: without it results "
                    "are exported without a review"
                )
        return None
    review = ClinicalReview(mode, tuple(roles))
    return review if hours is None else replace(review, hours=hours)


def _render(target: Target, config: Path, site: Site, folder: Path, *, force: bool) -> None:
    from cli.console_without_markup import plain_console
    from deploy.render.render_files import render_files, write_files
    from totalmap.settings import load_settings

    console = plain_console()
    with errors_to_exit_status():
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
    from cli.console_without_markup import plain_console

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

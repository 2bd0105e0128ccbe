"""Renders the files for one machine with Docker: with MONAI Deploy Express, or with Orthanc."""

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from deploy.render.write_clinical_workflow import docker_clinical_workflow
from deploy.site_options import Application, Site

ORTHANC_IMAGE = "orthancteam/orthanc:24.6.1"

_TEMPLATES = Path(__file__).parent / "templates"
_FILES = ("compose.yaml", "orthanc.env.example", "totalmap@.service", "report-failures.sh")


def docker_files(app: Application, site: Site) -> Mapping[str, str]:
    """Returns {file name: text}."""
    # No value is escaped: these files are not HTML.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    values = {"app": app, "site": site, "orthanc_image": ORTHANC_IMAGE}
    rendered = {name: environment.get_template(f"{name}.j2").render(values) for name in _FILES}
    return {"totalmap.json": docker_clinical_workflow(app, site), **rendered}

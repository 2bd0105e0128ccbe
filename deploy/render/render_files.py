"""Renders the files of a target from app.yaml and the options of a site, and writes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.render.argo_files import argo_files
from deploy.render.docker_files import docker_files
from deploy.site_options import Site, Target, application
from deploy.validate.validate_files import validate_texts
from totalmap.errors import ConfigError
from totalmap.settings import Settings


@dataclass(frozen=True)
class RenderedFile:
    """A file that is to be written, by its name."""

    name: str
    text: str
    executable: bool = False


def render_files(target: Target, settings: Settings, site: Site) -> tuple[RenderedFile, ...]:
    """Returns the files of a target, validated as `totalmap deploy check` does.

    Raises:
        ConfigError: The files made of these settings and options would be refused, or the results
            of this target can't be reviewed.
    """
    if site.review and target is not Target.ARGO:
        raise ConfigError(
            f"clinical review is not for target {target}: the Workflow Manager offers no results "
            "of docker tasks for review; use --target argo"
        )
    app = application(settings, site)
    texts = docker_files(app, site) if target is Target.DOCKER else argo_files(app, site)
    report = validate_texts(
        {
            Path(name): text
            for name, text in texts.items()
            if name in ("totalmap.json", "totalmap-template.yaml")
        }
    )
    if report.faults:
        first = report.faults[0]
        raise ConfigError(
            f"the Workflow Manager would refuse these values: {first.problem}; {first.remedy}"
        )
    return tuple(
        RenderedFile(name, text, executable=name.endswith(".sh")) for name, text in texts.items()
    )


def write_files(
    files: Sequence[RenderedFile], folder: Path, *, force: bool = False
) -> tuple[Path, ...]:
    """Writes all files, or none of them if one would replace a file with other content.

    Raises:
        ConfigError: A file exists with other content and `force` is not set, or the folder can't
            be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not force:
            _refuse_to_replace(files, folder)
        for file in files:
            path = folder / file.name
            path.write_text(file.text, encoding="utf-8")
            if file.executable:
                path.chmod(0o755)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"folder {folder} can't be written: {error}") from error
    return tuple(folder / file.name for file in files)


def _refuse_to_replace(files: Sequence[RenderedFile], folder: Path) -> None:
    for file in files:
        path = folder / file.name
        if path.exists() and path.read_bytes() != file.text.encode():
            raise ConfigError(
                f"{path} exists with other content; nothing was written: use another folder, or "
                "--force"
            )

"""Renders the files of a target from app.yaml and what the site says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.render.argo_files import argo_files
from deploy.render.docker_files import docker_files
from deploy.site import Site, Target, application
from deploy.validate.files import check_texts
from totalmap.errors import ConfigError
from totalmap.settings import Settings


@dataclass(frozen=True)
class RenderedFile:
    """One file, by its name."""

    name: str
    text: str
    executable: bool = False


def render(target: Target, settings: Settings, site: Site) -> tuple[RenderedFile, ...]:
    """Returns the files of a target, checked as `totalmap deploy check` would.

    Raises:
        ConfigError: The settings or the site's own values make no files that would be accepted.
    """
    app = application(settings, site)
    texts = docker_files(app, site) if target is Target.DOCKER else argo_files(app, site)
    report = check_texts(
        {
            Path(name): text
            for name, text in texts.items()
            if name in ("totalmap.json", "totalmap-template.yaml")
        }
    )
    if report.findings:
        first = report.findings[0]
        raise ConfigError(
            f"these values make a workflow that is refused: {first.problem}; {first.remedy}"
        )
    return tuple(
        RenderedFile(name, text, executable=name.endswith(".sh")) for name, text in texts.items()
    )


def write_files(
    files: Sequence[RenderedFile], folder: Path, *, force: bool = False
) -> tuple[Path, ...]:
    """Writes the files, and none of them if one would replace another content.

    Raises:
        ConfigError: A file is there with other content and `force` is not set, or the folder can't
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
                f"{path} is there with other content; nothing was written: use another folder, or "
                "--force"
            )

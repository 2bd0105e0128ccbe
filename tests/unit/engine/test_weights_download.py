import functools
import http.server
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.networks import build_task, build_walk
from tests.serving import serving
from totalmap.engine.supported_tasks import why_unsupported
from totalmap.engine.tasks import SubModel, load_task
from totalmap.engine.weights import verify_models
from totalmap.engine.weights_download import install
from totalmap.errors import ConfigError, ModelError, ResourceError, TotalMapError
from totalmap.settings import Variant

TASK = load_task("total", Variant.FAST)
(MODEL,) = TASK.models


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name of the base
        """Logs nothing."""


class ShortHandler(QuietHandler):
    """Announces more bytes than it sends."""

    def send_header(self, keyword: str, value: str) -> None:
        super().send_header(keyword, str(int(value) + 7) if keyword == "Content-Length" else value)


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    """The folder that the server serves."""
    return tmp_path / "archives"


@pytest.fixture
def server(archives: Path) -> Iterator[str]:
    yield from serve(QuietHandler, archives)


@pytest.fixture
def breaking_server(archives: Path) -> Iterator[str]:
    yield from serve(ShortHandler, archives)


def serve(handler: type[QuietHandler], folder: Path) -> Iterator[str]:
    in_folder = functools.partial(handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), in_folder)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def archive(archives: Path, fast_models: Path) -> Path:
    """A weights archive as TotalSegmentator publishes it."""
    return pack(fast_models, MODEL, archives)


def pack(models: Path, model: SubModel, archives: Path) -> Path:
    path = archives / model.release / f"{model.dataset}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as packed:
        for file in sorted((models / model.dataset).rglob("*")):
            packed.write(file, file.relative_to(models))
    return path


def fails(server: str, folder: Path, error: type[TotalMapError], message: str) -> None:
    with pytest.raises(error, match=message):
        install(TASK, folder, server)
    assert not list(folder.iterdir()), "a failed download must leave nothing behind"


@pytest.mark.usefixtures("archive")
def test_downloaded_weights_are_on_record(server: str, tmp_path: Path) -> None:
    (record,) = install(TASK, tmp_path / "models", server).models
    assert record.source == server
    assert record.licence == "Apache-2.0"
    verify_models(tmp_path / "models", TASK)


def test_installed_weights_are_not_downloaded_again(
    server: str, archive: Path, tmp_path: Path
) -> None:
    install(TASK, tmp_path / "models", server)
    archive.unlink()
    install(TASK, tmp_path / "models", server)


def test_weights_that_were_in_the_folder_before_are_recorded_as_adopted(
    server: str, archive: Path, fast_models: Path, tmp_path: Path
) -> None:
    archive.unlink()
    shutil.copytree(fast_models / MODEL.dataset, tmp_path / "models" / MODEL.dataset)
    (record,) = install(TASK, tmp_path / "models", server).models
    assert (record.source, record.licence) == ("adopted", "Apache-2.0")


def test_non_commercial_weights_are_not_downloaded_unless_accepted(
    server: str, archives: Path, tmp_path: Path
) -> None:
    task = load_task("brain_aneurysm")
    models = build_task(tmp_path / "built", task)
    pack(models, task.models[0], archives)
    with pytest.raises(ModelError, match=r"CC-BY-NC-4\.0.*--accept-licence CC-BY-NC-4\.0"):
        install(task, tmp_path / "models", server)
    assert not (tmp_path / "models").exists()
    (record,) = install(task, tmp_path / "models", server, ("CC-BY-NC-4.0",)).models
    assert record.licence == "CC-BY-NC-4.0"


def test_a_missing_weights_archive_is_an_error_and_leaves_nothing_behind(
    server: str, tmp_path: Path, archives: Path
) -> None:
    archives.mkdir()
    fails(server, tmp_path / "models", ModelError, "404")


def test_a_damaged_weights_archive_is_refused_and_leaves_nothing_behind(
    server: str, archive: Path, tmp_path: Path
) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    fails(server, tmp_path / "models", ModelError, "not a whole zip")


def test_an_incomplete_download_of_weights_is_an_error_and_leaves_nothing_behind(
    breaking_server: str, archive: Path, tmp_path: Path
) -> None:
    assert archive.exists()
    fails(breaking_server, tmp_path / "models", ResourceError, "broke off")


@pytest.mark.parametrize("member", ["../outside", "/etc/outside"])
def test_a_weights_archive_with_unsafe_paths_is_refused_and_leaves_nothing_behind(
    server: str, archive: Path, tmp_path: Path, member: str
) -> None:
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr(member, "x")
    fails(server, tmp_path / "models", ModelError, "unsafe path")
    assert not (tmp_path / "outside").exists()


def test_a_weights_archive_without_the_expected_network_is_refused(
    server: str, archive: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("README", "x")
    fails(server, tmp_path / "models", ModelError, "does not hold")


def test_an_unreachable_weights_server_is_an_error_and_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    fails("http://127.0.0.1:9", tmp_path / "models", ResourceError, "can't be downloaded")


def test_a_weights_address_that_is_not_http_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="file://"):
        install(TASK, tmp_path / "models", "file:///etc")


@pytest.mark.parametrize("name", ["lung_nodules", "hip_implant"])
def test_rough_networks_of_a_task_are_installed_with_it(
    server: str, archives: Path, tmp_path: Path, name: str
) -> None:
    task = load_task(name)
    built = build_walk(tmp_path / "built", task)
    for one in task.chain:
        for model in one.models:
            pack(built, model, archives)
    install(task, tmp_path / "models", server)
    assert why_unsupported(task, tmp_path / "models") == task.unsupported
    for one in task.chain:
        verify_models(tmp_path / "models", one)


def test_installing_a_licensed_task_is_refused_with_the_download_command(
    server: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"face.*licence server.*totalseg_download_weights"):
        install(load_task("face"), tmp_path / "models", server)

"""Tests that a password at any place in the settings is in no message."""

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from gateway.config import GatewaySettings, load_gateway_settings
from tests.conftest import REPOSITORY
from totalmap.errors import ConfigError, ResourceError, TotalMapError
from totalmap.settings import Settings, load_settings

PASSWORD = "Hunter2-Geheim"  # noqa: S105
APP_YAML = REPOSITORY / "app.yaml"

Load = Callable[[Path], object]
LOADERS: dict[type[BaseModel], Load] = {
    Settings: lambda path: load_settings(path, {}),
    GatewaySettings: load_gateway_settings,
}
# A section that has to be whole before one of its settings can be wrong.
COMPANIONS: dict[str, dict[str, Any]] = {
    "DicomDestination": {"ae_title": "PACS", "address": "127.0.0.1"},
    "StowDestination": {"url": "https://pacs/dicom-web"},
    "OrthancSection": {"url": "http://orthanc:8042"},
    "TlsSection": {"certificate_file": "c.pem", "key_file": "k.pem"},
    "WatchedFolderSection": {"folder": "in"},
    "OidcSection": {
        "issuer": "https://login.example",
        "client_id": "totalmap",
    },
    "SyslogSection": {"host": "syslog"},
    "DestinationSection": {"name": "pacs"},
    "EmailSection": {
        "host": "mail",
        "sender": "totalmap@hospital.example",
        "recipients": ["it@hospital.example"],
    },
    "WebhookSection": {"name": "pager", "url": "https://pager", "secret_file": "secret"},
}
URLS = (
    f"postgresql+psycopg://totalmap:{PASSWORD}@127.0.0.1:1/ledger",
    f"postgresql+psycopg://totalmap:@{PASSWORD}@127.0.0.1:1/ledger",
    f"postgresql+psycopg://totalmap:/{PASSWORD}@127.0.0.1:1/ledger",
    f"postgresql+psycopg://totalmap@127.0.0.1:{PASSWORD}/ledger",
    f"postgresql+psycopg://127.0.0.1:1/ledger?user=totalmap&password={PASSWORD}",
    f"nosuch://totalmap:{PASSWORD}@host/ledger",
    f"nosuch+{PASSWORD}://host/ledger",
    PASSWORD,
)


def holders(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yields the paths of all settings and sections; a list is of one item, named 0."""
    for name, field in model.model_fields.items():
        here = (*path, name)
        yield here
        section = section_in(field.annotation)
        if section is not None:
            below = (*here, "0") if is_list(field.annotation) else here
            yield from holders(section, below)


def section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (section_in(part) for part in get_args(annotation))
    return next((section for section in found if section is not None), None)


def is_list(annotation: Any) -> bool:
    return "tuple[" in str(annotation)


def document(model: type[BaseModel], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Returns a settings file in which one setting has a value, and its section is whole."""
    name, *rest = path
    if not rest:
        return {**COMPANIONS.get(model.__name__, {}), name: value}
    annotation = model.model_fields[name].annotation
    section = section_in(annotation)
    assert section is not None
    below = tuple(rest[1:]) if rest[0] == "0" else tuple(rest)
    inner = document(section, below, value)
    return {
        **COMPANIONS.get(model.__name__, {}),
        name: [inner] if rest[0] == "0" else inner,
    }


def told(load: Load, path: Path) -> str:
    """Returns all that an error could show of a file: its message, and its chain of causes."""
    try:
        load(path)
    except TotalMapError as error:
        causes = "".join(traceback.format_exception(error, chain=True))
        return f"{error}\n{causes}"
    return ""


SETTINGS = [
    pytest.param(model, path, id=f"{model.__name__}.{'.'.join(path)}")
    for model in LOADERS
    for path in holders(model)
]


@pytest.mark.parametrize(("model", "path"), SETTINGS)
def test_a_password_in_the_place_of_any_setting_is_in_no_message(
    model: type[BaseModel], path: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "settings.yaml"
    misspelt = (*path[:-1], f"{path[-1]}x")
    cases = [
        (path, PASSWORD),
        (path, [PASSWORD]),
        (path, [[PASSWORD]]),
        (path, {"password": PASSWORD}),
        (path, {PASSWORD: None}),
        (path, f"https://user:{PASSWORD}@[host/"),
        (misspelt, PASSWORD),
        (misspelt, {PASSWORD: PASSWORD}),
    ]
    for where, value in cases:
        file.write_text(yaml.safe_dump(document(model, where, value)))
        assert PASSWORD not in told(LOADERS[model], file), (where, value)


def test_misplaced_settings_values_of_each_kind_are_refused(tmp_path: Path) -> None:
    """The test above would pass if nothing were ever refused."""
    file = tmp_path / "settings.yaml"
    for model, load in LOADERS.items():
        refused = 0
        for path in holders(model):
            file.write_text(yaml.safe_dump(document(model, path, [[PASSWORD]])))
            refused += bool(told(load, file))
        assert refused >= 40


@pytest.mark.parametrize(
    "text",
    [
        "segmentation:\n  task: total\n  licence_number:{}\n",
        "segmentation: {{licence_number: *{}}}\n",
        "segmentation: {{licence_number: !{} x}}\n",
        "segmentation: {{licence_number: !!int {}}}\n",
        "segmentation: {{licence_number: '{}\n",
        'segmentation: {{licence_number: "{}\\q"}}\n',
        "{}",
        "segmentation: {{licence_number: @{}}}\n",
        "{{[{}]: 1}}",
        "segmentation: {}\n",
        "segmentation:\n\tlicence_number: {}\n",
    ],
)
def test_an_error_in_yaml_settings_states_the_place_and_quotes_no_text(
    text: str, tmp_path: Path
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text.format(PASSWORD))
    for load in LOADERS.values():
        said = told(load, file)
        assert str(file) in said
        assert PASSWORD not in said


def test_a_tab_in_yaml_settings_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    file.write_text("segmentation:\n\ttask: total\n")
    with pytest.raises(ConfigError, match=r"line 2, column 1: found character '\\t' that cannot"):
        load_settings(file, {})


def environment_names() -> list[str]:
    return [
        f"TOTALMAP_{section}__{key}".upper()
        for section, field in Settings.model_fields.items()
        for key in section_in(field.annotation).model_fields  # type: ignore[union-attr]
    ]


@pytest.mark.parametrize("name", [*environment_names(), "TOTALMAP_LICENCE", "TOTALMAP_X__Y"])
@pytest.mark.parametrize(
    "value", [PASSWORD, f"[[{PASSWORD}]]", f"*{PASSWORD}", f"!!int {PASSWORD}"]
)
def test_a_password_in_any_environment_variable_is_in_no_message(name: str, value: str) -> None:
    said = told(lambda path: load_settings(path, {name: value}), APP_YAML)
    assert PASSWORD not in said


@pytest.mark.parametrize("url", URLS)
def test_a_password_in_the_ledger_s_url_is_in_no_message(url: str, tmp_path: Path) -> None:
    from gateway.store.database import open_database

    settings = GatewaySettings(storage_folder=tmp_path, ledger_url=url)
    with pytest.raises((ConfigError, ResourceError)) as caught:
        open_database(settings)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in repr(settings)


@pytest.mark.parametrize("setting", ["password_file", "token_file"])
def test_a_password_in_place_of_its_file_name_is_in_no_message(setting: str) -> None:
    from gateway.config import StowDestination
    from gateway.deliver.send_stow import search

    url = f"http://user:{PASSWORD}@127.0.0.1:1/dicom-web"
    destination = StowDestination(url=url, user="totalmap", **{setting: PASSWORD})  # type: ignore[arg-type]
    with pytest.raises(ResourceError, match=setting) as caught:
        search(destination, {})
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_a_private_key_in_place_of_its_file_name_is_in_no_message() -> None:
    from gateway.config import TlsSection
    from gateway.receive.dicom_receiver import tls_context

    tls = TlsSection(certificate_file=Path("/etc/totalmap/gateway.pem"), key_file=Path(PASSWORD))
    with pytest.raises(ConfigError, match=r"/etc/totalmap/gateway\.pem, key_file") as caught:
        tls_context(tls)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_an_error_never_holds_the_user_information_of_a_url() -> None:
    error = ResourceError(f"https://user:{PASSWORD}@mirror/a.zip can't be downloaded")
    assert str(error) == "https://mirror/a.zip can't be downloaded"


def test_a_log_line_never_holds_the_user_information_of_a_url(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from totalmap import log

    log.configure("json")
    log.get_logger().info("model_installed", url=f"https://user:{PASSWORD}@mirror/a.zip")
    shown = capsys.readouterr().err
    assert "https://mirror/a.zip" in shown
    assert PASSWORD not in shown

"""Tests which changes of gateway.yaml are found, and how settings are handed to processes."""

from pathlib import Path

from gateway.config import GatewaySettings
from gateway.config.inherited_settings import InheritedSettings, read_inherited_settings
from gateway.config.named_files import named_files
from gateway.config.settings_changes import fingerprints, fixed_changes
from tests.conftest import REPOSITORY
from totalmap.settings_file import read_sections

STOW = {"address": "127.0.0.1", "port": 8043}
FULL = {
    **read_sections(REPOSITORY / "gateway.yaml"),
    "ledger_url": "postgresql+psycopg://u:p%40ss@db.example/name",
    "destinations": [
        {"name": "pacs", "dicom": {"ae_title": "PACS", "address": "pacs.example", "port": 104}},
        {"name": "archive", "stow": {"url": "https://u:secret@archive.example/dicom-web"}},
    ],
    "web": {"proxies": ["10.0.0.0/8", "fd00::/64"]},
}


def changed(before: GatewaySettings, after: GatewaySettings) -> set[str]:
    old, new = fingerprints(before), fingerprints(after)
    return {name for name in new if old[name] != new[name]}


def test_a_gateway_process_inherits_exactly_the_settings_of_its_supervisor() -> None:
    settings = GatewaySettings.model_validate(FULL)
    inherited = InheritedSettings(settings)
    for _ in range(2):  # a process that is started again reads them from the beginning
        assert read_inherited_settings(inherited.descriptor) == settings
    inherited.close()


def test_a_changed_gateway_setting_changes_the_fingerprint_of_its_section_alone() -> None:
    before = GatewaySettings.model_validate(FULL)
    assert changed(before, GatewaySettings.model_validate(FULL)) == set()
    after = GatewaySettings.model_validate({**FULL, "deliver": {"at_once": 3}})
    assert changed(before, after) == {"deliver"}
    assert fixed_changes(before, after) == []


def test_a_renewed_certificate_changes_the_fingerprint_of_its_settings_section(
    tmp_path: Path,
) -> None:
    files = {name: str(tmp_path / name) for name in ("certificate_file", "key_file")}
    settings = GatewaySettings.model_validate({"web": files})
    before = fingerprints(settings)
    (tmp_path / "certificate_file").write_text("new")
    after = fingerprints(settings)
    assert {name for name in after if before[name] != after[name]} == {"web"}
    assert [key for key, _ in named_files(settings)] == ["web.certificate_file", "web.key_file"]


def test_gateway_settings_that_need_a_restart_are_named() -> None:
    before = GatewaySettings()
    for change, key in (
        ({"storage_folder": "/elsewhere"}, "storage_folder"),
        ({"ledger_url": "postgresql+psycopg://db.example/name"}, "ledger_url"),
        ({"receive": {"address": "0.0.0.0"}}, "receive.address"),  # noqa: S104  nothing is bound
        ({"receive": {"port": 104}}, "receive.port"),
        ({"web": {"port": 8081}}, "web.port"),
        ({"work": {"devices": ["cpu", "cpu"]}}, "work.devices"),
    ):
        assert fixed_changes(before, GatewaySettings.model_validate(change)) == [key]
    with_stow = GatewaySettings.model_validate({"receive": {"stow": STOW}})
    assert fixed_changes(before, with_stow) == ["receive.stow.address", "receive.stow.port"]

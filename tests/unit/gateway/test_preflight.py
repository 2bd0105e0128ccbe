import re
import socket
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from typer.testing import CliRunner

from cli.__main__ import app
from gateway.config import GatewaySettings, ReceiveSection, WorkSection
from gateway.folder_locks import machine_name
from gateway.preflight import (
    PreflightResult,
    check,
    faults_of_settings,
    network_warning,
    workers_warnings,
)
from gateway.store.file_storage import file_system
from tests.accounts import add_account_to
from tests.archive import running_archive
from tests.conftest import DEMO_MODELS
from tests.openid_provider import running_provider
from tests.servers import LOOPBACK, free_port
from tests.unit.gateway.alarm.receivers import Mailbox, mail_server

EVERYWHERE = "0.0.0.0"  # noqa: S104  nothing is bound to it


def settings(tmp_path: Path, **sections: object) -> GatewaySettings:
    usual = {
        "storage_folder": tmp_path / "storage",
        "receive": {"port": free_port(), "keep_free_gb": 0.1},
        "work": {"models_folder": DEMO_MODELS},
    }
    return GatewaySettings.model_validate({**usual, **sections})


def found(one: GatewaySettings) -> dict[str, PreflightResult]:
    return {point.name: point for point in check(one)}


def test_the_preflight_of_a_working_gateway_finds_no_fault(tmp_path: Path) -> None:
    with running_archive() as archive:
        destinations = [{"name": "archive", "dicom": archive.destination}]
        points = found(settings(tmp_path, destinations=destinations))
    assert all(point.fault is None for point in points.values())
    assert points["destination archive"].good == "answers C-ECHO"
    assert points["rule ct"].good == "task total, fast"
    assert list(points) == [
        *(
            "storage_folder",
            "ledger_url",
            "receive",
            "rule ct",
            "destination archive",
            "web",
            "accounts",
        )
    ]


def test_the_preflight_names_each_destination_that_does_not_answer(tmp_path: Path) -> None:
    nobody = free_port()
    destinations = [
        {"name": "pacs", "dicom": {"ae_title": "PACS", "address": LOOPBACK, "port": nobody}},
        {"name": "web", "stow": {"url": f"http://{LOOPBACK}:{nobody}/dicom-web"}},
    ]
    points = found(settings(tmp_path, destinations=destinations))
    assert f"PACS at {LOOPBACK}:{nobody} can't be reached" in str(points["destination pacs"].fault)
    assert f"http://{LOOPBACK}:{nobody}/dicom-web" in str(points["destination web"].fault)


def test_the_preflight_reports_a_rule_that_the_application_would_refuse(tmp_path: Path) -> None:
    rules = [
        {"name": "misspelt", "application": {"segmentation": {"task": "totl"}}},
        {"name": "no-weights", "application": {"segmentation": {"task": "lung_vessels"}}},
    ]
    points = found(settings(tmp_path, rules=rules))
    assert "segmentation.task" in str(points["rule misspelt"].fault)
    assert "totalmap models install" in str(points["rule no-weights"].fault)


def test_the_preflight_reports_a_port_in_use(tmp_path: Path) -> None:
    with closing(socket.create_server((LOOPBACK, 0))) as taken:
        port = taken.getsockname()[1]
        receive = ReceiveSection(port=port, keep_free_gb=0.1).model_dump()
        points = found(settings(tmp_path, receive=receive))
    assert points["receive"].fault == f"port {port} of {LOOPBACK}: Address already in use"


def test_the_preflight_takes_a_running_gateway_on_the_folder_for_no_fault(tmp_path: Path) -> None:
    one = settings(tmp_path)
    with machine_name(one.storage_folder):
        assert "a gateway runs on this folder now" in str(found(one)["receive"].good)


def test_the_preflight_reports_too_little_free_space(tmp_path: Path) -> None:
    receive = {"port": free_port(), "keep_free_gb": 1e9}
    points = found(settings(tmp_path, receive=receive))
    assert "nothing would be received" in str(points["storage_folder"].fault)


def test_the_preflight_reports_a_certificate_that_can_not_be_read(tmp_path: Path) -> None:
    tls = {"certificate_file": tmp_path / "none.pem", "key_file": tmp_path / "none.key"}
    receive = {"port": free_port(), "keep_free_gb": 0.1, "tls": tls}
    assert "none.pem" in str(found(settings(tmp_path, receive=receive))["receive"].fault)


@pytest.mark.parametrize("address", [EVERYWHERE, "::", "", "10.1.2.3"])
def test_the_preflight_warns_about_an_unencrypted_address_for_other_machines(
    tmp_path: Path, address: str
) -> None:
    stow = {"address": address, "port": 8043}
    receive = {"port": free_port(), "keep_free_gb": 0.1, "stow": stow}
    points = found(settings(tmp_path, receive=receive, web={"address": address}))
    for name in ("web", "receive.stow"):
        assert f"{name}.certificate_file is not set: passwords" in str(points[name].warning)
        assert points[name].good is points[name].fault is None


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_the_preflight_accepts_an_unencrypted_address_of_this_machine_alone(
    tmp_path: Path, address: str
) -> None:
    stow = {"address": address, "port": 8043}
    receive = {"port": free_port(), "keep_free_gb": 0.1, "stow": stow}
    points = found(settings(tmp_path, receive=receive, web={"address": address}))
    for name in ("web", "receive.stow"):
        assert "not encrypted; only this machine can reach it" in str(points[name].good)


def test_the_preflight_reports_an_encrypted_address_without_a_usable_certificate(
    tmp_path: Path,
) -> None:
    certificate = tmp_path / "both.pem"
    trustme.CA().issue_cert("gateway.example.org").private_key_and_cert_chain_pem.write_to_path(
        certificate
    )
    web = {"address": EVERYWHERE, "certificate_file": certificate, "key_file": certificate}
    assert found(settings(tmp_path, web=web))["web"].good == "0.0.0.0:8080, encrypted"
    certificate.write_text("nonsense")
    assert "both.pem can't be used" in str(found(settings(tmp_path, web=web))["web"].fault)


def test_a_warning_of_the_preflight_does_not_change_the_exit_status(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        f"storage_folder: {tmp_path / 'storage'}\n"
        f"receive: {{port: {free_port()}, keep_free_gb: 0.1}}\n"
        f"work: {{models_folder: {DEMO_MODELS}}}\n"
        "web: {address: 0.0.0.0}\n"
    )
    done = CliRunner().invoke(app, ["gateway", "check", str(file)])
    assert done.exit_code == 0
    assert "web: WARNING: 0.0.0.0:8080 can be reached from outside this machine" in done.output


@pytest.mark.parametrize(("destination", "status"), [("", 0), ("[{name: x}]", 64)])
def test_the_gateway_check_command_ends_with_64_if_there_is_a_fault(
    tmp_path: Path, destination: str, status: int
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        f"storage_folder: {tmp_path / 'storage'}\n"
        f"receive: {{port: {free_port()}, keep_free_gb: 0.1}}\n"
        f"work: {{models_folder: {DEMO_MODELS}}}\n"
        f"destinations: {destination or '[]'}\n"
    )
    done = CliRunner().invoke(app, ["gateway", "check", str(file)])
    assert done.exit_code == status
    assert ("needs either dicom or stow" in done.output) is bool(status)


def test_the_preflight_asks_a_mail_server_without_sending_and_names_a_webhook(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret")
    email = {
        "host": LOOPBACK,
        "encryption": "none",
        "sender": "totalmap@hospital.example",
        "recipients": ["it@hospital.example"],
    }
    webhook = {"name": "pager", "url": "https://pager.example/a-path", "secret_file": secret}
    with mail_server(Mailbox()) as mailbox:
        alarms = {"email": {**email, "port": mailbox.port}, "webhooks": [webhook]}
        points = found(settings(tmp_path, alarms=alarms))
        assert mailbox.got.empty()
    assert points["alarms.email"].good == f"{LOOPBACK}:{mailbox.port} answers, not encrypted"
    assert str(points["alarms.webhooks pager"].good).startswith("pager.example:443; ")
    points = found(settings(tmp_path, alarms=alarms))
    assert "Connection refused" in str(points["alarms.email"].fault)


def test_the_preflight_warns_about_a_certificate_that_expires_soon(tmp_path: Path) -> None:
    expires = datetime.now(UTC) + timedelta(days=12)
    issued = trustme.CA().issue_cert(LOOPBACK, not_after=expires)
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    web = {"certificate_file": str(certificate), "key_file": str(key)}
    points = found(settings(tmp_path, web=web))
    assert "expires on" in str(points["web.certificate_file"].warning)
    assert all(point.fault is None for point in points.values())


def test_the_preflight_names_faults_that_would_end_the_processes_of_a_running_gateway(
    tmp_path: Path,
) -> None:
    assert [*faults_of_settings(settings(tmp_path))] == []
    token = tmp_path / "token"
    token.write_text("secret")
    sections = {
        "receive": {"tls": {"certificate_file": str(token), "key_file": str(token)}},
        "web": {"certificate_file": str(token), "key_file": "/nowhere.pem"},
        "rules": [
            {"name": "no-weights", "application": {"segmentation": {"task": "lung_vessels"}}}
        ],
    }
    found = [*faults_of_settings(settings(tmp_path, **sections))]
    assert len(found) == 4
    for fault, says in zip(
        found,
        (
            "web.key_file names can't be read: No such file or directory",
            "receive.tls:",
            "web: ",
            "totalmap models install",
        ),
        strict=True,
    ):
        assert says in fault


def test_the_preflight_warns_about_a_sqlite_ledger_on_a_network_file_system(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/sda1 / ext4 rw 0 0\nserver:/totalmap /var/lib/totalmap nfs4 rw 0 0\n")
    folder = Path("/var/lib/totalmap/storage")
    kind = file_system(folder, mounts)
    assert (kind, file_system(Path("/var/lib"), mounts)) == ("nfs4", "ext4")
    said = network_warning(folder, kind, has_postgres=False)
    assert "is on nfs4, where SQLite may lose data: set ledger_url to a Postgres" in said
    assert network_warning(folder, kind, has_postgres=True) == ""
    assert network_warning(folder, "ext4", has_postgres=False) == ""


def test_the_preflight_warns_about_a_gateway_without_an_administrator(tmp_path: Path) -> None:
    one = settings(tmp_path)
    assert "user add NAME --role administrator" in str(found(one)["accounts"].warning)
    add_account_to(one)
    assert found(one)["accounts"].good == "accounts: 1, with an administrator"
    behind = settings(tmp_path, web={"user_header": "X-Remote-User"})
    assert "accounts" not in found(behind)


def test_the_preflight_asks_a_provider_of_openid_connect(tmp_path: Path) -> None:
    page = "http://127.0.0.1:8080"
    with running_provider(tmp_path, page, {"sub": "7"}) as provider:
        oidc = {"issuer": provider.url, "client_id": "x"}
        one = settings(
            tmp_path, web={"public_url": page, "oidc": {**oidc, "ca_file": provider.ca_file}}
        )
        assert f"redirect URI {page}/login/oidc" in str(found(one)["web.oidc"].good)
        untrusted = settings(tmp_path, web={"public_url": page, "oidc": oidc})
        assert "ConnectError" in str(found(untrusted)["web.oidc"].fault)
    assert "ConnectError" in str(found(one)["web.oidc"].fault)


@pytest.mark.parametrize(
    ("work", "warning"),
    [
        ({"devices": ["cpu"] * 4, "threads": 4}, "compute with 16 threads, .* has 8 processors"),
        ({"devices": ["cpu"] * 9}, "compute with 9 threads"),
        ({"devices": ["cpu"] * 8, "runner": "container"}, "may use 64 GB .* the machine has 32 GB"),
        ({"devices": ["cpu", "cpu"], "threads": 4}, None),
        ({"devices": ["cuda:0", "cuda:1"], "threads": 8}, None),
        ({"devices": ["cpu"] * 4, "runner": "container"}, None),
    ],
)
def test_the_preflight_warns_about_workers_that_are_too_much_for_the_machine(
    work: dict[str, Any], warning: str | None
) -> None:
    said = [*workers_warnings(WorkSection.model_validate(work), 8, 32 * 10**9)]
    assert len(said) == bool(warning)
    assert not warning or re.search(warning, said[0])

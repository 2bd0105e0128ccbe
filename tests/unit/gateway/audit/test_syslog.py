"""Tests sending of audit messages to real syslog collectors by UDP, TCP and TLS."""

import re
import socket
import ssl
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trustme

from gateway.audit.syslog import Collector, SyslogMessage
from gateway.config import SyslogSection
from tests.servers import LOOPBACK, free_port
from tests.unit.gateway.audit.collectors import stream_collector, udp_collector
from tests.waiting import NEVER_SECONDS, WAIT_SECONDS
from totalmap.errors import ConfigError, ResourceError

ONE = SyslogMessage(at=1_700_000_000.25, is_failure=False, text=b"<AuditMessage one/>")
FAILED = SyslogMessage(at=1_700_000_000.25, is_failure=True, text=b"<AuditMessage failed/>")
HEADER = rb"<85>1 2023-11-14T22:13:20\.250000Z box totalmap [0-9]+ DICOM\+RFC3881 - "


def collector(port: int, **values: Any) -> Collector:
    patient = {"time_out_seconds": WAIT_SECONDS, "retry_seconds": NEVER_SECONDS}
    section = SyslogSection.model_validate({"host": LOOPBACK, "port": port, **patient, **values})
    return Collector(section, "box")


def test_each_audit_message_by_udp_is_a_datagram_with_a_syslog_header() -> None:
    with udp_collector() as listening:
        collector(listening.port).send([ONE, FAILED])
        assert re.fullmatch(HEADER + b"<AuditMessage one/>", listening.next())
        assert listening.next().startswith(b"<84>1 ")


def test_the_host_name_of_a_syslog_collector_is_resolved() -> None:
    with udp_collector() as listening:
        Collector(SyslogSection(host="localhost", port=listening.port), "box").send([ONE])
        assert listening.next()


def test_each_audit_message_by_tcp_follows_its_length() -> None:
    with stream_collector() as listening:
        collector(listening.port, protocol="tcp").send([ONE, FAILED])
        assert re.fullmatch(HEADER + b"<AuditMessage one/>", listening.got.get_nowait())
        assert listening.got.get_nowait().endswith(b"<AuditMessage failed/>")


class Certificates:
    def __init__(self, folder: Path) -> None:
        self.authority, self.elsewhere = trustme.CA(), trustme.CA()
        self.ca_file, self.elsewhere_file = folder / "ca.pem", folder / "elsewhere.pem"
        self.authority.cert_pem.write_to_path(self.ca_file)
        self.elsewhere.cert_pem.write_to_path(self.elsewhere_file)
        own = self.authority.issue_cert("box.example.org")
        self.own_file, self.key_file = folder / "own.pem", folder / "own.key"
        own.cert_chain_pems[0].write_to_path(self.own_file)
        own.private_key_pem.write_to_path(self.key_file)

    def server(self, name: str = LOOPBACK, *, wants_one: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name).configure_cert(context)
        if wants_one:
            self.authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def test_audit_messages_are_sent_over_tls(certificates: Certificates) -> None:
    with stream_collector(certificates.server()) as listening:
        known = collector(listening.port, protocol="tls", ca_file=certificates.ca_file)
        known.send([ONE, FAILED])
        assert re.fullmatch(HEADER + b"<AuditMessage one/>", listening.next())
        assert listening.next().endswith(b"<AuditMessage failed/>")


def test_a_syslog_collector_with_a_wrong_certificate_gets_no_audit_message(
    certificates: Certificates,
) -> None:
    for server, ca_file in (
        (certificates.server(), certificates.elsewhere_file),
        (certificates.server("other.example.org"), certificates.ca_file),
    ):
        with stream_collector(server) as listening:
            stranger = collector(listening.port, protocol="tls", ca_file=ca_file)
            with pytest.raises(ResourceError, match="certificate verify failed"):
                stranger.send([ONE])
            assert listening.got.empty()


def test_the_gateway_shows_its_certificate_to_a_syslog_collector_that_demands_one(
    certificates: Certificates,
) -> None:
    with stream_collector(certificates.server(wants_one=True)) as listening:
        known = {"protocol": "tls", "ca_file": certificates.ca_file}
        with pytest.raises(ResourceError, match="by tls"):
            collector(listening.port, **known).send([ONE])
        shown = {"certificate_file": certificates.own_file, "key_file": certificates.key_file}
        collector(listening.port, **known, **shown).send([ONE])
        assert listening.next()


def test_a_missing_certificate_file_for_the_syslog_collector_is_named_in_the_error(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"audit\.syslog: .*missing\.pem"):
        collector(6514, protocol="tls", ca_file=tmp_path / "missing.pem")


def test_an_invalid_host_name_of_a_syslog_collector_is_an_expected_error() -> None:
    with pytest.raises(ResourceError, match=r"a\.\.b:514"):
        Collector(SyslogSection(host="a..b"), "box").send([ONE])


def test_an_unreachable_syslog_collector_is_not_tried_again_at_once() -> None:
    away = collector(free_port(), protocol="tcp")
    assert not away.is_waiting_to_retry()
    with pytest.raises(ResourceError, match=rf"{LOOPBACK}:[0-9]+ does not take messages by tcp"):
        away.send([ONE])
    assert away.is_waiting_to_retry()


def test_a_connection_that_the_syslog_collector_aborts_is_an_error() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        sender = collector(server.getsockname()[1], protocol="tcp")

        def break_off() -> None:
            stream, _ = server.accept()
            stream.recv(1)
            stream.close()  # with something unread: an abort

        breaking = Thread(target=break_off)
        breaking.start()
        with pytest.raises(ResourceError):
            sender.send([ONE])
        breaking.join()


def test_a_syslog_collector_that_leaves_the_connection_open_does_not_block_the_gateway() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        collector(server.getsockname()[1], protocol="tcp", time_out_seconds=0.2).send([ONE])

"""The sender of audit messages, with collectors that listen."""

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


def test_each_message_is_a_datagram_with_its_header() -> None:
    with udp_collector() as listening:
        collector(listening.port).send([ONE, FAILED])
        assert re.fullmatch(HEADER + b"<AuditMessage one/>", listening.next())
        assert listening.next().startswith(b"<84>1 ")


def test_a_name_is_looked_up() -> None:
    with udp_collector() as listening:
        Collector(SyslogSection(host="localhost", port=listening.port), "box").send([ONE])
        assert listening.next()


def test_each_message_follows_its_length() -> None:
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


def test_over_tls(certificates: Certificates) -> None:
    with stream_collector(certificates.server()) as listening:
        known = collector(listening.port, protocol="tls", ca_file=certificates.ca_file)
        known.send([ONE, FAILED])
        assert re.fullmatch(HEADER + b"<AuditMessage one/>", listening.next())
        assert listening.next().endswith(b"<AuditMessage failed/>")


def test_only_a_collector_with_the_right_certificate_gets_anything(
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


def test_a_collector_that_wants_a_certificate_sees_one(certificates: Certificates) -> None:
    with stream_collector(certificates.server(wants_one=True)) as listening:
        known = {"protocol": "tls", "ca_file": certificates.ca_file}
        with pytest.raises(ResourceError, match="by tls"):
            collector(listening.port, **known).send([ONE])
        shown = {"certificate_file": certificates.own_file, "key_file": certificates.key_file}
        collector(listening.port, **known, **shown).send([ONE])
        assert listening.next()


def test_files_that_are_no_certificates_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"audit\.syslog: .*missing\.pem"):
        collector(6514, protocol="tls", ca_file=tmp_path / "missing.pem")


def test_what_is_no_name_of_a_host_is_no_crash() -> None:
    with pytest.raises(ResourceError, match=r"a\.\.b:514"):
        Collector(SyslogSection(host="a..b"), "box").send([ONE])


def test_a_collector_that_is_away_is_left_alone_for_a_while() -> None:
    away = collector(free_port(), protocol="tcp")
    assert not away.is_left_alone()
    with pytest.raises(ResourceError, match=rf"{LOOPBACK}:[0-9]+ does not take messages by tcp"):
        away.send([ONE])
    assert away.is_left_alone()


def test_a_collector_that_breaks_off_has_not_got_the_messages() -> None:
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


def test_a_collector_that_leaves_the_connection_open_holds_nobody_up() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        collector(server.getsockname()[1], protocol="tcp", time_out_seconds=0.2).send([ONE])

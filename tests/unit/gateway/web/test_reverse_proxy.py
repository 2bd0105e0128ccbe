"""Tests deploy/gateway/nginx.conf with Debian's nginx in front of the page and of STOW-RS."""

import os
import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
import trustme

from gateway.config import StowReceiveSection, WebSection
from gateway.receive.intake import Intake
from gateway.receive.stow import running_stow
from gateway.web.server import running_web
from tests.conftest import REPOSITORY
from tests.phantom.study import WrittenSeries
from tests.servers import LOOPBACK, free_port, require_program
from tests.unit.gateway.receive.test_stow import body, post
from tests.unit.gateway.web.filling import Filled
from tests.waiting import NEVER_SECONDS, WAIT_SECONDS, wait_until

CONFIGURATION = REPOSITORY / "deploy" / "gateway" / "nginx.conf"
NAME = "totalmap.hospital.example"
ANOTHER_MACHINE = "127.0.0.2"
MAIN = """
{user}
pid {folder}/pid;
error_log {folder}/error.log;
daemon off;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/totalmap.conf;
}}
"""


@pytest.fixture
def web() -> WebSection:
    proxies = (ip_network(LOOPBACK),)
    return WebSection(port=0, user_header="X-Remote-User", proxies=proxies)


class Proxy:
    """A running nginx."""

    def __init__(self, authority: trustme.CA) -> None:
        self.trust = ssl.create_default_context()
        authority.configure_trust(self.trust)
        self.http, self.https = free_port(), free_port()

    def client(self, user: str | None = None, address: str = LOOPBACK) -> httpx.Client:
        """Returns a client, which comes from an address of this machine."""
        return httpx.Client(
            base_url=f"https://{LOOPBACK}:{self.https}",
            headers={"Host": NAME},
            auth=(user, "password") if user else None,
            transport=httpx.HTTPTransport(verify=self.trust, local_address=address),
            timeout=WAIT_SECONDS,
        )


@contextmanager
def running_nginx(folder: Path, page: int, stow: int, *, logs_in: bool) -> Iterator[Proxy]:
    program = require_program("nginx", "nginx-light")
    authority = trustme.CA()
    certificate = authority.issue_cert(NAME, LOOPBACK)
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "certificate.pem")
    (folder / "users").write_text("anna:{PLAIN}password\n")
    proxy = Proxy(authority)
    text = CONFIGURATION.read_text()
    for before, after in (
        ("listen 80;", f"listen {LOOPBACK}:{proxy.http};"),
        ("listen 443 ssl;", f"listen {LOOPBACK}:{proxy.https} ssl;"),
        ("/etc/nginx/totalmap/certificate.pem", f"{folder}/certificate.pem"),
        ("/etc/nginx/totalmap/key.pem", f"{folder}/certificate.pem"),
        ("/etc/nginx/totalmap/users", f"{folder}/users"),
        ("127.0.0.1:8080", f"127.0.0.1:{page}"),
        ("127.0.0.1:8043", f"127.0.0.1:{stow}"),
    ):
        assert before in text
        text = text.replace(before, after)
    if logs_in:
        text = text.replace('    proxy_set_header X-Remote-User "";\n', "")
        text = re.sub(r"^    #(auth_basic|proxy_set)", r"    \1", text, flags=re.MULTILINE)
    (folder / "totalmap.conf").write_text(text)
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user))
    words = [str(program), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    subprocess.run([*words, "-t"], check=True, capture_output=True)
    process = subprocess.Popen(words)
    try:
        wait_until(lambda: answers(proxy, process), "up")
        yield proxy
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)


def answers(proxy: Proxy, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None
    try:
        httpx.get(f"http://{LOOPBACK}:{proxy.http}", timeout=WAIT_SECONDS)
    except httpx.TransportError:
        return False
    return True


@pytest.fixture(params=[False, True], ids=["gateway logs in", "nginx logs in"])
def logs_in(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def proxy(gateway: Filled, tmp_path: Path, *, logs_in: bool) -> Iterator[Proxy]:
    folder = tmp_path / "nginx"
    folder.mkdir()
    section = StowReceiveSection(port=0)
    with (
        closing(Intake(gateway.storage, gateway.ledger, 0.0)) as intake,
        running_stow(section, NEVER_SECONDS, intake, gateway.storage) as stow,
        running_web(gateway.settings) as page,
        running_nginx(folder, page, stow, logs_in=logs_in) as running,
    ):
        yield running


def test_nginx_encrypts_the_gateway_page_and_passes_on_only_users_that_it_knows(
    proxy: Proxy, gateway: Filled, phantom_series: WrittenSeries, *, logs_in: bool
) -> None:
    plain = httpx.get(f"http://{LOOPBACK}:{proxy.http}/?group=done", headers={"Host": NAME})
    assert (plain.status_code, plain.headers["location"]) == (308, f"https://{NAME}/?group=done")
    with proxy.client() as stranger:
        invented = stranger.get("/", headers={"X-Remote-User": "mallory"})
        assert invented.status_code == (401 if logs_in else 403)
    if logs_in:
        with proxy.client("anna", ANOTHER_MACHINE) as anna:
            page = anna.get(
                "/", headers={"X-Remote-User": "mallory", "X-Forwarded-For": "10.9.8.7"}
            )
            assert page.status_code == 200
            assert "anna" in page.text
            assert "mallory" not in page.text
            assert "Secure" in page.headers["set-cookie"]
            assert page.headers["strict-transport-security"]
    with proxy.client() as monitoring, proxy.client(address=ANOTHER_MACHINE) as other:
        for path in ("/metrics", "/health"):
            assert monitoring.get(path).status_code in (200, 503)
            assert other.get(path).status_code == 403
        content = body(*(path.read_bytes() for path in 2 * phantom_series.paths))
        assert len(content) > 1_000_000, "more than the page takes"
    answer = post(f"https://{LOOPBACK}:{proxy.https}/dicom-web", content, verify=proxy.trust)
    assert answer.status_code == 200
    assert len([*gateway.ledger.instances()]) == len(phantom_series.paths)

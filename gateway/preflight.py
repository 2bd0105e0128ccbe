"""Checks before a start whether the gateway can work with its settings."""

import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

from app.preflight import require_ready
from gateway.alarm.send_email import EmailSender
from gateway.alarm.send_webhook import WebhookSender
from gateway.certificate_expiry import expiring_certificates
from gateway.config import (
    EmailSection,
    GatewaySettings,
    MailEncryption,
    RuleSection,
    RunnerKind,
    StowReceiveSection,
    WebhookSection,
    WebSection,
)
from gateway.config.named_files import shown
from gateway.deliver.destination_probe import probe
from gateway.receive.dicom_receiver import tls_context
from gateway.store.database import open_database
from gateway.store.file_storage import BYTES_PER_GB, Storage
from gateway.work.application_settings import write_overlay
from totalmap.default_locations import DEFAULT_MODELS, DEFAULT_SETTINGS
from totalmap.errors import ConfigError, ResourceError, TotalMapError
from totalmap.settings import load_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightResult:
    """The result of one check.

    Attributes:
        name: The section or item of gateway.yaml that was checked.
        good: What was found, where all is well; otherwise None.
        warning: What works but is not safe; otherwise None.
        fault: What does not work; otherwise None.
    """

    name: str
    good: str | None = None
    warning: str | None = None
    fault: str | None = None


def check(settings: GatewaySettings) -> Iterator[PreflightResult]:
    """Yields each result as soon as it is known; a destination may take long to answer."""
    yield _checked("storage_folder", partial(_storage, settings))
    yield _checked("ledger_url", partial(_ledger, settings))
    yield _checked("receive", partial(_receive, settings))
    if settings.receive.stow is not None:
        yield _checked("receive.stow", partial(_served, "receive.stow", settings.receive.stow))
    for rule in settings.rules:
        yield _checked(f"rule {rule.name}", partial(_rule, settings, rule))
    if settings.work.runner is RunnerKind.CONTAINER:
        yield _checked("work.container", partial(_container, settings))
    for destination in settings.destinations:
        yield _checked(f"destination {destination.name}", partial(probe, destination))
    yield _checked("web", partial(_served, "web", settings.web))
    if settings.alarms.email is not None:
        yield _checked("alarms.email", partial(_email, settings.alarms.email))
    for webhook in settings.alarms.webhooks:
        yield _checked(f"alarms.webhooks {webhook.name}", partial(_webhook, webhook))
    now = time.time()
    for certificate in expiring_certificates(settings, now):
        yield PreflightResult(name=certificate.setting, warning=certificate.sentence(now))


class _Warning(str):
    """The text of a check whose subject works but is not safe."""


def _checked(name: str, look: Callable[[], str]) -> PreflightResult:
    try:
        said = look()
    except TotalMapError as error:
        return PreflightResult(name=name, fault=str(error))
    except OSError as error:
        return PreflightResult(name=name, fault=f"{error.filename or name}: {error.strerror}")
    if isinstance(said, _Warning):
        return PreflightResult(name=name, warning=said)
    return PreflightResult(name=name, good=said)


def _storage(settings: GatewaySettings) -> str:
    storage = Storage(settings.storage_folder)
    with tempfile.TemporaryFile(dir=storage.incoming):
        free_gb = storage.free_bytes() / BYTES_PER_GB
    if free_gb < settings.receive.keep_free_gb:
        raise ResourceError(
            f"{settings.storage_folder} has {free_gb:.1f} GB left, receive.keep_free_gb is "
            f"{settings.receive.keep_free_gb:g}: nothing would be received"
        )
    return f"{settings.storage_folder.absolute()} can be written, {free_gb:.0f} GB are free"


def _ledger(settings: GatewaySettings) -> str:
    with open_database(settings) as database:
        return "Postgres answers" if database.is_postgres else "SQLite in the storage folder"


def _receive(settings: GatewaySettings) -> str:
    receive = settings.receive
    if receive.tls:
        tls_context(receive.tls)
    where = f"{receive.ae_title} at {receive.address}:{receive.port}"
    try:
        with Storage(settings.storage_folder).only_here():
            _try_port(receive.address, receive.port)
    except ResourceError:
        return f"{where}; a gateway runs on this folder now"
    return f"{where}, {'encrypted' if receive.tls else 'not encrypted'}"


def _try_port(address: str, port: int) -> None:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address, port))
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"port {port} of {address}") from error


def _served(name: str, section: WebSection | StowReceiveSection) -> str:
    where = f"{section.address}:{section.port}"
    if section.certificate_file is not None:
        _try_certificate(name, section)
        return f"{where}, encrypted"
    if _is_loopback(section.address, section.port):
        return f"{where}, not encrypted; only this machine can reach it"
    return _Warning(
        f"{where} can be reached from outside this machine, and {name}.certificate_file is not "
        "set: passwords and patient data can be read on the network. Give it a certificate, "
        f"or set {name}.address to 127.0.0.1 and put a proxy in front of it that encrypts"
    )


def _try_certificate(name: str, section: WebSection | StowReceiveSection) -> None:
    context = SSLContext(PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(str(section.certificate_file), section.key_file)
    except OSError as error:  # SSLError is one
        raise ConfigError(
            f"{name}: {shown(section.certificate_file, 'certificate_file')} and "
            f"{shown(section.key_file, 'key_file')} can't be used: {error}"
        ) from error


def _is_loopback(address: str, port: int) -> bool:
    """Returns whether only this machine can reach a server that listens at an address."""
    found = socket.getaddrinfo(address or None, port, flags=socket.AI_PASSIVE)
    return all(ip_address(str(where[0])).is_loopback for *_, where in found)


def _rule(settings: GatewaySettings, rule: RuleSection) -> str:
    work = settings.work
    with tempfile.TemporaryDirectory(prefix="totalmap-") as folder:
        path = Path(folder) / "app.yaml"
        write_overlay(work.settings_file or DEFAULT_SETTINGS, rule.whole_application, "auto", path)
        if work.runner is RunnerKind.CONTAINER:  # the image has its own weights
            load_settings(path)
            return "its settings are good"
        return require_ready(path, work.models_folder or DEFAULT_MODELS)


def _container(settings: GatewaySettings) -> str:
    container = settings.work.container
    words = [container.docker, "image", "inspect", "--format", "{{.Id}}", container.image]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603  no shell
    if done.returncode:
        raise ResourceError(f"{container.docker} has no image {container.image}")
    return f"{container.docker} has the image {container.image}"


def _email(email: EmailSection) -> str:
    EmailSender(email, socket.gethostname()).try_to_log_in()
    encryption = "not encrypted" if email.encryption is MailEncryption.NONE else "encrypted"
    return f"{email.host}:{email.port_or_usual} answers, {encryption}"


def _webhook(webhook: WebhookSection) -> str:
    goal = WebhookSender(webhook).goal
    return f"{goal}; `totalmap gateway alarm-test` sends a test message"

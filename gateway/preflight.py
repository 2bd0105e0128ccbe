"""Checks before a start whether the gateway can work with its settings."""

import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

from app.check_settings_and_weights import require_ready
from gateway.alarm.message_channels import ways_of
from gateway.alarm.send_email import EmailSender
from gateway.alarm.send_webhook import WebhookSender
from gateway.certificate_expiry import expiring_certificates
from gateway.config import (
    EmailSection,
    GatewaySettings,
    MailEncryption,
    OidcSection,
    RuleSection,
    RunnerKind,
    StowReceiveSection,
    WebhookSection,
    WebSection,
    WorkSection,
)
from gateway.config.named_files import named_files, shown
from gateway.deliver.destination_probe import probe
from gateway.folder_locks import running_machines
from gateway.receive.dicom_receiver import tls_context
from gateway.store.accounts import AccountList
from gateway.store.database import LEDGER_FILE, look_at_database, open_existing_database
from gateway.store.file_storage import (
    BYTES_PER_GB,
    NETWORK_FILE_SYSTEMS,
    file_system,
    free_bytes,
)
from gateway.web.openid_connect import OpenIdConnect, ProviderAway
from gateway.work.application_settings import write_overlay
from totalmap.default_locations import DEFAULT_MODELS, DEFAULT_SETTINGS
from totalmap.errors import ConfigError, ResourceError, TotalMapError
from totalmap.machine_limits import machine_bytes, usable_processors
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
    yield from _workers(settings)
    for destination in settings.destinations:
        yield _checked(f"destination {destination.name}", partial(probe, destination))
    yield _checked("web", partial(_served, "web", settings.web))
    if settings.web.oidc is not None:
        yield _checked(
            "web.oidc", partial(_provider, settings.web.oidc, settings.web.public_url or "")
        )
    if settings.web.user_header is None:
        yield _checked("accounts", partial(_accounts, settings))
    if settings.alarms.email is not None:
        yield _checked("alarms.email", partial(_email, settings.alarms.email))
    for webhook in settings.alarms.webhooks:
        yield _checked(f"alarms.webhooks {webhook.name}", partial(_webhook, webhook))
    now = time.time()
    for certificate in expiring_certificates(settings, now):
        yield PreflightResult(name=certificate.setting, warning=certificate.sentence(now))


def faults_of_settings(settings: GatewaySettings) -> Iterator[str]:
    """Yields why the processes of a running gateway could not use other settings.

    Neither ports nor destinations are tested: the gateway itself uses the ports, and a destination
    may be away.
    """
    checks: list[tuple[str, Callable[[], object]]] = [
        (key, partial(_readable, key, path)) for key, path in named_files(settings)
    ]
    receive, web = settings.receive, settings.web
    if receive.tls is not None:
        checks.append(("receive.tls", partial(tls_context, receive.tls)))
    for name, served in (("receive.stow", receive.stow), ("web", web)):
        if served is not None and served.certificate_file is not None:
            checks.append((name, partial(_try_certificate, name, served)))
    checks += [(f"rule {rule.name}", partial(_rule, settings, rule)) for rule in settings.rules]
    if settings.work.runner is RunnerKind.CONTAINER:
        checks.append(("work.container", partial(_container, settings)))
    checks.append(("alarms", partial(ways_of, settings.alarms, socket.gethostname())))
    for name, look in checks:
        fault = _checked(name, lambda look=look: str(look())).fault  # type: ignore[misc]
        if fault is not None:
            yield fault


def _readable(key: str, path: Path) -> None:
    """Raises a ConfigError if a file can't be read; the path may be the secret itself."""
    try:
        path.open("rb").close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no path"
        raise ConfigError(f"the file that {key} names can't be read: {reason}") from None


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
    """Tests the storage folder, or where it is to be made; makes nothing that stays."""
    with tempfile.TemporaryFile(dir=_nearest_folder(settings.storage_folder)):
        free_gb = free_bytes(settings.storage_folder) / BYTES_PER_GB
    if free_gb < settings.receive.keep_free_gb:
        raise ResourceError(
            f"{settings.storage_folder} has {free_gb:.1f} GB left, receive.keep_free_gb is "
            f"{settings.receive.keep_free_gb:g}: nothing would be received"
        )
    where = settings.storage_folder.absolute()
    return network_warning(where, file_system(where), has_postgres=bool(settings.ledger_url)) or (
        f"{where} can be written, {free_gb:.0f} GB are free"
    )


def network_warning(folder: Path, kind: str, *, has_postgres: bool) -> str:
    """Returns a warning if the ledger's SQLite file would be on a network file system, or "".

    Args:
        folder: The storage folder.
        kind: The type of its file system.
        has_postgres: Whether the ledger is in Postgres.
    """
    if has_postgres or kind not in NETWORK_FILE_SYSTEMS:
        return ""
    return _Warning(
        f"{folder} is on {kind}, where SQLite may lose data: set ledger_url to a Postgres, or "
        "choose a folder on a disk of this machine"
    )


def _workers(settings: GatewaySettings) -> Iterator[PreflightResult]:
    if settings.work.runner is RunnerKind.CONTAINER:
        yield _checked("work.container", partial(_container, settings))
    for warning in workers_warnings(settings.work, usable_processors(), machine_bytes()):
        yield PreflightResult(name="work.devices", warning=warning)


def workers_warnings(work: WorkSection, processors: int, memory_bytes: int) -> Iterator[str]:
    """Yields why the workers together are too much for this machine, if they are.

    Args:
        work: The section `work`.
        processors: The number that the machine has.
        memory_bytes: The memory of the machine.
    """
    threads = (work.threads_of_a_worker(processors) or 1) * work.workers_without_gpu
    if threads > processors:
        yield (
            f"the workers without a GPU compute with {threads} threads, and the machine has "
            f"{processors} processors: they slow each other down; use fewer, or leave "
            "work.threads out"
        )
    memory_gb = len(work.devices) * work.container.memory_gb
    if work.runner is RunnerKind.CONTAINER and memory_gb > memory_bytes / BYTES_PER_GB:
        yield (
            f"the containers of all workers together may use {memory_gb:g} GB of memory, and the "
            f"machine has {memory_bytes / BYTES_PER_GB:.0f} GB: use fewer workers, or lower "
            "work.container.memory_gb"
        )


def _nearest_folder(folder: Path) -> Path:
    """Returns a folder, or the nearest folder above it that exists."""
    while not folder.exists():
        folder = folder.absolute().parent
    return folder


def _ledger(settings: GatewaySettings) -> str:
    if not settings.ledger_url and not (settings.storage_folder / LEDGER_FILE).exists():
        return "SQLite in the storage folder, which the first start makes"
    with look_at_database(settings) as database:
        return "Postgres answers" if database.is_postgres else "SQLite in the storage folder"


def _receive(settings: GatewaySettings) -> str:
    receive = settings.receive
    if receive.tls:
        tls_context(receive.tls)
    where = f"{receive.ae_title} at {receive.address}:{receive.port}"
    if any(not machine.only_work for machine in running_machines(settings.storage_folder)):
        return f"{where}; a gateway runs on this folder now"
    _try_port(receive.address, receive.port)
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


def _provider(oidc: OidcSection, public_url: str) -> str:
    client = OpenIdConnect(oidc, public_url)
    try:
        client.ask()
    except ProviderAway as error:
        raise ResourceError(f"{oidc.issuer} can't log users in: {error}") from error
    return f"{oidc.issuer} answers; it has to allow the redirect URI {client.redirect_url}"


def _accounts(settings: GatewaySettings) -> str:
    with suppress(ConfigError), open_existing_database(settings) as database:
        accounts = AccountList(database)
        if accounts.has_administrator():
            return f"accounts: {len(accounts.accounts())}, with an administrator"
    return _Warning(
        "no local account is an administrator's: add one with `totalmap gateway user add "
        "NAME --role administrator`"
    )


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

"""Writes the ZIP archive of `totalmap support`: what a bug report needs, without patient data.

Each part is collected on its own, so that a gateway that is damaged or can't start is described as
well. A part that could not be made is named in the archive, with the reason.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import yaml

from gateway.config import GatewaySettings, load_gateway_settings
from gateway.folder_locks import running_machines
from gateway.store.bug_report_queries import (
    check_file,
    present_layout,
    queue_counts,
    recent_failures,
)
from gateway.store.database import LEDGER_FILE, look_at_database, open_existing_database
from gateway.store.schema import LAYOUT
from gateway.support.describe_machine import (
    describe_machine,
    describe_versions,
    installed_packages,
)
from gateway.support.describe_settings import describe_settings
from gateway.support.read_log_lines import LogLine, clean_lines, newest_lines
from gateway.support.remove_names import NameRemover
from totalmap.errors import ConfigError, ResourceError, TotalMapError, internal_error

MANIFEST = "READ-ME-FIRST.txt"
FAILURE_DAYS = 30
_SECONDS_PER_DAY = 86_400.0
_INTRODUCTION = """TotalMAP: what a bug report needs

This archive was made by `totalmap support`. It is meant to hold no patient data, no password and
no name of a person or machine{nodes}. Words that TotalMAP does not know are replaced by #, paths
by PATH, and UIDs by a hash that is different in each archive.

Please look at every file before you send the archive: you know what must not leave your house.

"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportRequest:
    """What to collect.

    Attributes:
        settings_file: The gateway.yaml; None: the defaults.
        log_file: The file of the log; None: the journal of systemd.
        keeps_nodes: Whether AE titles, hosts and addresses stay.
    """

    settings_file: Path | None
    log_file: Path | None
    keeps_nodes: bool = False


def write_support_zip(request: SupportRequest, target: Path) -> Mapping[str, str]:
    """Writes the archive, which only its user can read.

    Args:
        request: What to collect.
        target: A new file.

    Returns:
        The reason for each part that could not be made.

    Raises:
        ConfigError: The file exists.
        ResourceError: It can't be written.
    """
    if target.exists():
        raise ConfigError(f"{target} exists already: name a new file with --output")
    collector = _Collector(request)
    files = collector.files()
    aside = target.with_name(f"{target.name}.part")
    try:
        aside.touch(0o600)
        with ZipFile(aside, "w", ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        aside.replace(target)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise ResourceError(f"{target} can't be written: {error.strerror}") from error
    return collector.missing


class _Collector:
    """Collects the parts; each is left out if it fails."""

    def __init__(self, request: SupportRequest) -> None:
        self.missing: dict[str, str] = {}
        self._request = request
        self._names = NameRemover(keeps_nodes=request.keeps_nodes)
        self._now = time.time()
        self._settings = GatewaySettings()
        self._lines: Sequence[LogLine] = ()

    def files(self) -> Mapping[str, str]:
        """Returns the names and texts of all files of the archive, the manifest first."""
        parts: Mapping[str, tuple[str, Callable[[], str]]] = {
            "settings.yaml": ("gateway.yaml without names and secrets", self._described_settings),
            "versions.json": ("versions of programs", partial(_json, describe_versions)),
            "packages.txt": ("installed Python packages", self._packages),
            "machine.json": ("processor, memory and disk", self._machine),
            "ledger.json": ("layout and integrity of the ledger", self._ledger),
            "queue.json": ("numbers of studies, jobs and deliveries by state", self._queue),
            "log.txt": ("the newest lines of the log", self._log),
            "errors.json": ("the errors of the log and of the ledger, by class", self._errors),
        }
        made = {name: self._part(name, collect) for name, (_, collect) in parts.items()}
        texts = {name: text for name, text in made.items() if text is not None}
        about = {name: content for name, (content, _) in parts.items()}
        return {MANIFEST: self._manifest(about, texts), **texts}

    def _part(self, name: str, collect: Callable[[], str]) -> str | None:
        try:
            return collect()
        except TotalMapError as error:
            self.missing[name] = self._names.clean(str(error))
        except Exception as error:  # the report is about defects: it is made in spite of one
            self.missing[name] = self._names.clean(str(internal_error(error)))
        return None

    def _manifest(self, about: Mapping[str, str], texts: Mapping[str, str]) -> str:
        nodes = ", but the AE titles, hosts and addresses of --keep-nodes" * (
            self._request.keeps_nodes
        )
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._now))
        rows = [f"{name}: {about[name]}" for name in texts]
        missing = [f"{name}: could not be made: {why}" for name, why in self.missing.items()]
        return "\n".join(
            [_INTRODUCTION.format(nodes=nodes) + f"Made at {made}.", *rows, *missing, ""]
        )

    def _described_settings(self) -> str:
        self._settings = load_gateway_settings(self._request.settings_file)
        described = describe_settings(self._settings, self._names)
        return yaml.safe_dump(described, sort_keys=False, allow_unicode=True)

    def _packages(self) -> str:
        return "\n".join([*installed_packages(), ""])

    def _machine(self) -> str:
        return _json(partial(describe_machine, self._settings.storage_folder))

    def _ledger(self) -> str:
        folder = self._settings.storage_folder
        machines = running_machines(folder)
        found: dict[str, Any] = {
            "expected_layout": LAYOUT,
            "gateways_running": sum(not machine.only_work for machine in machines),
            "workers_only_running": sum(machine.only_work for machine in machines),
            "is_postgres": self._settings.ledger_url is not None,
        }
        try:
            with look_at_database(self._settings) as database:
                found["layout"] = present_layout(database)
        except TotalMapError as error:
            found["layout"] = self._names.clean(str(error))
        if self._settings.ledger_url is None:
            found["integrity"] = check_file(folder / LEDGER_FILE)
            sizes = {name: folder / name for name in (LEDGER_FILE, "queue.sqlite")}
            found["bytes"] = {
                name: file.stat().st_size for name, file in sizes.items() if file.exists()
            }
        return _json(lambda: found)

    def _queue(self) -> str:
        with open_existing_database(self._settings) as database:
            return _json(partial(queue_counts, database, self._now))

    def _log(self) -> str:
        self._lines = clean_lines(newest_lines(self._request.log_file), self._names)
        return "\n".join([*(line.text for line in self._lines), ""])

    def _errors(self) -> str:
        found: dict[str, Any] = {"log": _by_class(self._lines)}
        try:
            since = self._now - FAILURE_DAYS * _SECONDS_PER_DAY
            with open_existing_database(self._settings) as database:
                found["ledger"] = [
                    {
                        "kind": failure.kind.value,
                        "reason": self._names.clean(failure.detail),
                        "times": failure.n_times,
                        "last_seconds_ago": round(self._now - failure.last_at),
                    }
                    for failure in recent_failures(database, since)
                ]
        except TotalMapError as error:
            found["ledger"] = self._names.clean(str(error))
        return _json(lambda: found)


def _by_class(lines: Sequence[LogLine]) -> Sequence[Mapping[str, Any]]:
    """Returns how often each error and warning was logged, with its last line."""
    last: dict[tuple[str, str], LogLine] = {}
    numbers: dict[tuple[str, str], int] = {}
    for line in lines:
        if line.level in ("error", "warning", "critical"):
            key = line.event, line.values.get("kind", "")
            last[key] = line
            numbers[key] = numbers.get(key, 0) + 1
    return [
        {"event": event, "kind": kind, "times": n, "last": last[event, kind].text}
        for (event, kind), n in sorted(numbers.items(), key=lambda item: -item[1])
    ]


def _json(collect: Callable[[], Any]) -> str:
    return json.dumps(collect(), indent=2, ensure_ascii=True) + "\n"

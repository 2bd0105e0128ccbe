"""`totalmap gateway reload`: makes a running gateway read its gateway.yaml again."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.errors import errors_to_exit_status
from cli.gateway import Config, File, given_settings, print_line
from totalmap.errors import ConfigError, ResourceError

if TYPE_CHECKING:
    from gateway.store.database import Database
    from gateway.store.events import Event

app = typer.Typer()

# Weights and images are checked before the new settings are used.
ANSWER_SECONDS = 120.0
_LOOK_SECONDS = 0.1


@app.command("reload")
def reload_command(file: File = None, config: Config = None) -> None:
    """Makes the gateway on this machine use its changed gateway.yaml; a wrong one is refused."""
    with errors_to_exit_status():
        settings = given_settings(config, file)
        from gateway.folder_locks import serving_process
        from gateway.store.database import open_existing_database
        from gateway.store.events import EventKind
        from gateway.supervise.settings_reload import RELOAD_SIGNAL

        with open_existing_database(settings) as database:
            machine = serving_process(settings.storage_folder)
            _require_its_file(machine.settings_file, file or config)
            before = _last_number(database, machine.name)
            os.kill(machine.pid, RELOAD_SIGNAL)
            event = _answer(database, machine.name, before)
        if event.kind is not EventKind.RELOADED:
            raise ConfigError(f"{event.detail}; the gateway goes on with its old settings")
        print_line(f"The gateway uses the new settings; {event.detail}.")


def _require_its_file(used: str | None, given: Path | None) -> None:
    """Makes sure that the file that was named is the one that the gateway reads again.

    Raises:
        ConfigError: The gateway was started with another one, or with none.
    """
    if used is None or given is None or str(given.resolve()) != used:
        raise ConfigError(
            f"the gateway on this machine was started with {used or 'no settings file'}: change "
            "and name that file"
        )


def _last_number(database: "Database", machine: str) -> int:
    from gateway.store.reload_events import last_reload

    found = last_reload(database, machine)
    return 0 if found is None else found[0]


def _answer(database: "Database", machine: str, before: int) -> "Event":
    """Waits for the next reload of a machine, and returns its event.

    Raises:
        ResourceError: The gateway does not answer.
    """
    from gateway.store.reload_events import last_reload

    give_up_at = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < give_up_at:
        found = last_reload(database, machine)
        if found is not None and found[0] > before:
            return found[1]
        time.sleep(_LOOK_SECONDS)
    raise ResourceError(
        f"the gateway has not answered for {ANSWER_SECONDS:g} s: its log says whether the new "
        "settings are used"
    )

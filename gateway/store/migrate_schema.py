"""Migrates the tables of a database to the layout of this version, or of an earlier one.

The migrations are in gateway/store/migrations. Alembic runs them in the transaction of the caller,
so that one that fails leaves the layout as it was.
"""

from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from gateway.store.schema import LAYOUT
from totalmap.errors import ConfigError

if TYPE_CHECKING:
    from alembic.config import Config

# The layout that each earlier version of TotalMAP reads.
LAYOUTS = MappingProxyType({"0.1.0": "0001", "0.2.0": "0004"})

_MIGRATIONS = Path(__file__).with_name("migrations")
_BASELINE = "0001"
_BASELINE_NUMBER = 1
# Alembic keeps the connection that it works on in a global variable.
_ALEMBIC = Lock()


def upgrade_layout(connection: Connection) -> None:
    """Creates the tables if there are none, and migrates those of an earlier version.

    Args:
        connection: In a transaction in which no other process changes the layout.

    Raises:
        ConfigError: A later version of TotalMAP has changed the layout.
    """
    found = layout_of(connection)
    if found == LAYOUT:
        return
    from alembic import command  # only here, for it takes a while

    with _ALEMBIC:
        config = _config(connection)
        if found is not None:
            _require_known(found, config)
            command.stamp(config, found)
        command.upgrade(config, LAYOUT)


def require_layout(connection: Connection) -> None:
    """Makes sure that the tables have the layout of this version, and changes nothing.

    Raises:
        ConfigError: There are no tables, or those of an earlier or later version.
    """
    found = layout_of(connection)
    if found is None:
        raise ConfigError(
            "the database has no ledger of a gateway: name the gateway.yaml of the gateway, or "
            "start it with `totalmap serve`"
        )
    if found != LAYOUT:
        _require_known(found, _config(connection))
        raise ConfigError(
            f"the ledger has layout {found} of an earlier version, and this one has {LAYOUT}: "
            "start the gateway with this version, which upgrades the ledger"
        )


def require_known_layout(connection: Connection) -> None:
    """Makes sure that a start of this version can use the tables, if there are any.

    Raises:
        ConfigError: A later version of TotalMAP has changed the layout.
    """
    found = layout_of(connection)
    if found is not None:
        _require_known(found, _config(connection))


def downgrade_layout(connection: Connection, version: str) -> None:
    """Changes the tables to the layout of an earlier version of TotalMAP.

    Args:
        connection: As for `upgrade_layout`; the gateway must not run.
        version: Such as 0.1.0.

    Raises:
        ConfigError: There is no such version, or a later one has changed the layout.
    """
    if version not in LAYOUTS:
        raise ConfigError(
            f"there is no way back to version {version}: choose one of {', '.join(LAYOUTS)}"
        )
    upgrade_layout(connection)
    from alembic import command

    with _ALEMBIC:
        command.downgrade(_config(connection), LAYOUTS[version])


def layout_of(connection: Connection) -> str | None:
    """Returns the layout of the tables; None: there are no tables."""
    tables = inspect(connection)
    if tables.has_table("alembic_version"):
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())
    if not tables.has_table("schema"):
        return None
    number = connection.execute(text("SELECT version FROM schema")).scalar()
    return _BASELINE if number == _BASELINE_NUMBER else f"schema {number}"


def _config(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def _require_known(layout: str, config: "Config") -> None:
    from alembic.script import ScriptDirectory

    known = [step.revision for step in ScriptDirectory.from_config(config).walk_revisions()]
    if layout not in known:
        raise ConfigError(
            f"the ledger has layout {layout}, and this version of TotalMAP reads those up to "
            f"{LAYOUT}: install the version that wrote it, or a newer one"
        )

"""Adds accounts to a gateway, so that tests, pictures and benchmarks can log in."""

from functools import cache

from gateway.config import GatewaySettings, Role
from gateway.store.accounts import AccountList
from gateway.store.database import Database, open_database
from gateway.web.passwords import hash_password

USER, PASSWORD = "Dr. Example", "a tall tree in the park"


def add_account(
    database: Database,
    name: str = USER,
    role: Role = Role.ADMINISTRATOR,
    password: str = PASSWORD,
) -> None:
    """Adds a local account."""
    AccountList(database).add(name, role, _hashed(password), "tests")


def add_account_to(settings: GatewaySettings, name: str = USER, password: str = PASSWORD) -> None:
    """Adds an administrator to a gateway that does not run yet."""
    with open_database(settings) as database:
        add_account(database, name, password=password)


@cache
def _hashed(password: str) -> str:
    """Hashes once for all tests: it takes its time."""
    return hash_password("", password)

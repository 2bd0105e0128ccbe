"""`totalmap gateway user add`, `list`, `role`, `reset`, `logout`, `remove`: users' accounts."""

import getpass
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import errors_to_exit_status
from cli.gateway import Config, File, given_settings, print_line
from totalmap.errors import ConfigError

# Only these commands import the gateway: the image of the application comes without it.
if TYPE_CHECKING:
    from gateway.store.accounts import AccountList

app = typer.Typer(help="Manages the accounts of the page's users.", no_args_is_help=True)


class RoleName(StrEnum):
    """The names of the roles, as in gateway/config/roles.py."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"


Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the account.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        help="A file whose first line is the password; without it, the command asks.",
    ),
]
Random = Annotated[bool, typer.Option("--random", help="Make a random password and print it.")]


@app.command("add")
def add_command(
    name: Name,
    role: Annotated[RoleName, typer.Option("--role", help="What the user may do.")] = (
        RoleName.VIEWER
    ),
    password_file: PasswordFile = None,
    random: Random = False,
    config: Config = None,
) -> None:
    """Adds an account, and asks for its password."""
    with _accounts(config) as accounts:
        if accounts.find(name) is not None:
            raise ConfigError(f"there is an account {name} already: choose another name")
        from gateway.config import Role

        password = _new_password(name, password_file, is_random=random)
        accounts.add(name, Role(role), _hashed(name, password), getpass.getuser())
        print_line(f"{name} may log in as {role}.")
        if random:
            print_line(f"Password: {password}")


@app.command("list")
def list_command(file: File = None, config: Config = None) -> None:
    """Lists the accounts with their roles and last logins."""
    from rich.table import Table

    with _accounts(config, file) as accounts:
        found = accounts.accounts()
        print_line(f"Accounts: {len(found)}")
        if found:
            table = Table("Name", "Role", "Logs in by", "Last login")
            for account in found:
                by = "password" if account.is_local else "OpenID Connect"
                table.add_row(account.name, account.role, by, _moment(account.logged_in_at))
            print_line(table)


@app.command("role")
def role_command(
    name: Name,
    role: Annotated[RoleName, typer.Argument(metavar="ROLE", help="What the user may do.")],
    config: Config = None,
) -> None:
    """Gives an account another role, and ends its sessions."""
    with _accounts(config) as accounts:
        from gateway.config import Role

        accounts.set_role(name, Role(role), getpass.getuser())
        print_line(f"The role of {name} is {role}. The user has to log in again.")


@app.command("reset")
def reset_command(
    name: Name,
    password_file: PasswordFile = None,
    random: Random = False,
    config: Config = None,
) -> None:
    """Gives an account another password, and ends its sessions."""
    with _accounts(config) as accounts:
        account = accounts.require(name)
        password = _new_password(name, password_file, is_random=random)
        accounts.set_password(name, _hashed(account.name, password), getpass.getuser())
        print_line(f"The password of {name} is changed. The user has to log in again.")
        if random:
            print_line(f"Password: {password}")


@app.command("logout")
def logout_command(name: Name, config: Config = None) -> None:
    """Ends all sessions of an account."""
    with _accounts(config) as accounts:
        accounts.end_sessions(name, getpass.getuser())
        print_line(f"All sessions of {name} have ended.")


@app.command("remove")
def remove_command(name: Name, config: Config = None) -> None:
    """Removes an account, and ends its sessions."""
    with _accounts(config) as accounts:
        accounts.remove(name, getpass.getuser())
        print_line(f"The account {name} is removed.")


@contextmanager
def _accounts(config: Path | None, file: Path | None = None) -> Iterator["AccountList"]:
    with errors_to_exit_status():
        settings = given_settings(config, file)
        from gateway.store.accounts import AccountList
        from gateway.store.database import open_database

        with open_database(settings) as database:
            yield AccountList(database)


def _new_password(name: str, password_file: Path | None, *, is_random: bool) -> str:
    """Returns a new password: from a file, random, or as the user types it.

    Raises:
        ConfigError: The two times differ, there is no terminal, or the file can't be read.
    """
    from gateway.config.named_files import read_secret
    from gateway.web.passwords import random_password

    if is_random:
        return random_password()
    if password_file is not None:
        return read_secret(password_file, "--password-file")
    password = _typed(f"The new password of {name}: ")
    if _typed("The same again: ") != password:
        raise ConfigError("the two passwords differ: start again")
    return password


def _typed(prompt: str) -> str:
    """Returns what the user types, which the terminal does not show.

    Raises:
        ConfigError: There is no terminal.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(prompt)
        except getpass.GetPassWarning as error:
            raise ConfigError(
                "there is no terminal to ask on: give --password-file or --random"
            ) from error


def _hashed(name: str, password: str) -> str:
    """Returns the hash of a new password.

    Raises:
        ConfigError: It is too weak.
    """
    from gateway.web.passwords import hash_password

    return hash_password(name, password)


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")

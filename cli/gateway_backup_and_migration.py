"""`totalmap gateway backup`, `restore`, `verify`, `migrate`, `repair`, `downgrade`."""

from pathlib import Path
from typing import Annotated

import typer

from cli.errors import errors_to_exit_status
from cli.gateway import Config, File, given_settings, print_line
from totalmap.errors import OutputError

app = typer.Typer()

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the backup.")]


@app.command("backup")
def backup_command(folder: Folder, file: File = None, config: Config = None) -> None:
    """Saves the ledger, the queue and all files into a new folder; the gateway may run."""
    with errors_to_exit_status():
        settings = given_settings(config, file)
        from gateway.backup.backup import back_up

        saved = back_up(settings, folder)
        print_line(
            f"Saved: {saved.instances} instances, {saved.files} files. {folder} is complete."
        )


@app.command("restore")
def restore_command(folder: Folder, file: File = None, config: Config = None) -> None:
    """Restores a backup into the storage folder of the settings; the gateway must not run."""
    with errors_to_exit_status():
        settings = given_settings(config, file)
        from gateway.backup.restore import restore

        done = restore(settings, folder)
        print_line(
            f"Restored: {done.files} files were missing; {done.recorded} instances that came after "
            "the backup are on record again."
        )


@app.command("verify")
def verify_command(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="A backup; without it, the storage folder."),
    ] = None,
    file: File = None,
    config: Config = None,
) -> None:
    """Reads all files of a backup, or of the gateway, and compares them with the ledger."""
    with errors_to_exit_status():
        from gateway.backup.backup import verify_backup, verify_store

        found = verify_backup(folder) if folder else verify_store(given_settings(config, file))
        n_differences = 0
        for difference in found:
            n_differences += 1
            print_line(f"{difference.file}: {difference.reason}")
        if n_differences:
            raise OutputError(
                f"{n_differences} files are missing or changed: restore them from a backup with "
                "`totalmap gateway restore`"
            )
        print_line("All files are as they were written.")


@app.command("migrate")
def migrate_command(file: File = None, config: Config = None) -> None:
    """Copies the ledger from SQLite to the Postgres of the settings; the gateway must not run."""
    with errors_to_exit_status():
        settings = given_settings(config, file)
        from gateway.backup.restore import migrate

        print_line(f"Copied: {migrate(settings)} rows. The gateway may be started.")


@app.command("repair")
def repair_command(file: File = None, config: Config = None) -> None:
    """Records stored files that the ledger does not have; the gateway must not run."""
    with errors_to_exit_status():
        settings = given_settings(config, file)
        from gateway.folder_locks import only_gateway
        from gateway.receive.recover_unrecorded_files import repair
        from gateway.store.database import open_existing_database
        from gateway.store.file_storage import Storage
        from gateway.store.ledger import Ledger

        with (
            open_existing_database(settings) as database,
            only_gateway(settings.storage_folder),
        ):
            done = repair(Storage(settings.storage_folder), Ledger(database))
        print_line(f"Put on record: {done.recorded} files. Removed: {done.removed} broken files.")


@app.command("downgrade")
def downgrade_command(
    version: Annotated[
        str, typer.Argument(help="The version of TotalMAP to go back to, for example 0.1.0.")
    ],
    file: File = None,
    config: Config = None,
) -> None:
    """Migrates the ledger back to the layout of an earlier version; the gateway must not run."""
    with errors_to_exit_status():
        settings = given_settings(config, file)
        from gateway.folder_locks import only_gateway
        from gateway.store.database import open_existing_database

        with (
            open_existing_database(settings) as database,
            only_gateway(settings.storage_folder),
        ):
            database.downgrade(version)
        print_line(f"The ledger has the layout of version {version}: install that version now.")

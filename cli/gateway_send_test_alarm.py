"""`totalmap gateway alarm-test`."""

import socket

import typer

from cli.errors import errors_to_exit_status
from cli.gateway import Config, File, given_settings, print_line
from totalmap.errors import ExitStatus

app = typer.Typer()


@app.command("alarm-test")
def alarm_test_command(file: File = None, config: Config = None) -> None:
    """Sends a test message by each way of `alarms`, and says what happened."""
    with errors_to_exit_status():
        settings = given_settings(config, file)
        from gateway.alarm.message_channels import send_tests

        faults = 0
        for test in send_tests(settings, socket.gethostname()):
            faults += test.fault is not None
            said = f"taken by {test.goal}" if test.fault is None else f"FAULT: {test.fault}"
            print_line(f"{test.way}: {said}")
        if faults:
            print_line(f"faults: {faults}")
            raise typer.Exit(ExitStatus.TRY_AGAIN)

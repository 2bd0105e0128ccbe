"""Starts and watches the processes of the gateway on this machine."""

"""Watches over the processes of the gateway on this machine."""

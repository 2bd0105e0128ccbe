"""Types of values that several sections use, and what they have to be."""

from ipaddress import ip_address
from typing import Annotated

from pydantic import Field, StringConstraints

# PS3.5 6.2, VR AE: 16 characters of the default repertoire; no backslash, no control characters.
AeTitle = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=16, pattern=r"^[ -\[\]-~]+$"),
]

Port = Annotated[int, Field(ge=1, le=65535)]

# 0 takes a free port.
ListeningPort = Annotated[int, Field(ge=0, le=65535)]

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]


def is_this_machine(host: str) -> bool:
    """Returns whether a host in a URL is this machine, to which nothing has to be encrypted."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name
        return host == "localhost"

"""Example rows of instances in the ledger, without files."""

from dataclasses import replace

from gateway.store.ledger import KeptInstance

ONE = KeptInstance(
    sop_instance_uid="1.2.3",
    sha256="a" * 64,
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    study_instance_uid="1.2",
    series_instance_uid="1.2.1",
    size_bytes=7,
    sender="CT1",
    transfer="first",
    received_at=1000.5,
)
# Of the same study.
SECOND = replace(ONE, sop_instance_uid="1.2.4", sha256="b" * 64, received_at=1001.0)
# Of another one.
ELSEWHERE = replace(ONE, sop_instance_uid="1.3.4", study_instance_uid="1.3", received_at=999.0)

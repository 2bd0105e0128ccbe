"""A DICOM archive that records what it receives, and can be made to hang at a chosen moment."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import cast

from pydicom.uid import UID
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_RELEASE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at its import

from tests.servers import LOOPBACK, free_port
from tests.serving import serving_dicom
from tests.waiting import WAIT_SECONDS
from totalmap.dicom.transfer_syntaxes import PREFERRED

TITLE = "ARCHIVE"


@dataclass
class Archive:
    """What an archive got, and what it does with the next.

    Attributes:
        contents: SHA-256 of every dataset that came, by SOP Instance UID.
        classes: SOP classes by SOP Instance UID.
        hang_at_store: Set: it does not answer the next C-STORE.
        hang_at_release: Set: it does not answer the next request to release.
        hangs: Is set while it hangs.
        go_on: Has it answer again.
        status: Of each C-STORE.
    """

    port: int
    contents: dict[str, list[str]] = field(default_factory=dict)
    classes: dict[str, UID] = field(default_factory=dict)
    hang_at_store: Event = field(default_factory=Event)
    hang_at_release: Event = field(default_factory=Event)
    hangs: Event = field(default_factory=Event)
    go_on: Event = field(default_factory=Event)
    status: int = 0x0000

    @property
    def destination(self) -> dict[str, object]:
        """The section `dicom` of a destination."""
        return {"ae_title": TITLE, "address": LOOPBACK, "port": self.port}

    def of_class(self, sop_class: UID) -> list[str]:
        """Returns the instances of a SOP class."""
        return [uid for uid, found in self.classes.items() if found == sop_class]

    def store(self, event: evt.Event) -> int:
        """Answers a C-STORE."""
        self._hang_if(self.hang_at_store)
        dataset = event.encoded_dataset(include_meta=False)
        request = cast(C_STORE, event.request)
        uid = str(request.AffectedSOPInstanceUID)
        if self.status == 0x0000:
            # Replaced, never changed: a test reads them meanwhile.
            digest = hashlib.sha256(dataset).hexdigest()
            self.contents = self.contents | {uid: [*self.contents.get(uid, []), digest]}
            self.classes = self.classes | {uid: UID(str(request.AffectedSOPClassUID))}
        return self.status

    def released(self, event: evt.Event) -> None:
        """Comes before the answer to a request to release."""
        if isinstance(event.primitive, A_RELEASE):  # type: ignore[attr-defined]
            self._hang_if(self.hang_at_release)

    def _hang_if(self, wanted: Event) -> None:
        if wanted.is_set():
            wanted.clear()
            self.go_on.clear()
            self.hangs.set()
            self.go_on.wait(WAIT_SECONDS)
            self.hangs.clear()


@contextmanager
def running_archive(port: int | None = None) -> Iterator[Archive]:
    """Yields an archive that listens while the block runs."""
    archive = Archive(port or free_port())
    entity = AE(TITLE)
    entity.add_supported_context(Verification)
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), list(PREFERRED))
    handlers: list[evt.EventHandlerType] = [
        (evt.EVT_C_STORE, archive.store),
        (evt.EVT_ACSE_RECV, archive.released),
    ]
    with serving_dicom(entity, archive.port, handlers):
        try:
            yield archive
        finally:
            archive.go_on.set()

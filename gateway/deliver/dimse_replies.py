"""Keeps the answers to a sender for the sender.

pynetdicom (3.0) takes the DIMSE messages of an association from one queue in two threads: the
sender's, which waits for its answer, and the association's own, which looks for requests. The
second is paused while the first sends, but not reliably between two sends in a row: on a busy
machine one answer in some thousands is thrown away ("Received unexpected C-STORE service
message"), and the sender waits in vain.
"""

from queue import Empty, Queue

from pynetdicom import evt
from pynetdicom.dimse_primitives import DimseServiceType

# A presentation context and its message; twice None: the association has ended.
Message = tuple[int, DimseServiceType] | tuple[None, None]


class ReplyQueue(Queue[Message]):
    """Messages, of which only who waits gets the answers; who just looks gets requests alone."""

    def get(self, block: bool = True, timeout: float | None = None) -> Message:
        """Returns the next message.

        Raises:
            Empty: There is none, or, without `block`, the next one is for who waits: an answer, or
                word that there will be none.
        """
        if not block and not self._next_is_a_request():
            raise Empty
        return super().get(block, timeout)

    def _next_is_a_request(self) -> bool:
        with self.mutex:
            _, message = self.queue[0] if self.queue else (None, None)
        return message is not None and message.is_valid_request


def _keep_replies(event: evt.Event) -> None:
    event.assoc.dimse.msg_queue = ReplyQueue()


# To be among the handlers of every association that one sends over: it opens before any message.
KEEP_REPLIES: evt.EventHandlerType = (evt.EVT_CONN_OPEN, _keep_replies)

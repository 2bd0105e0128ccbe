"""Holds everything that the page needs to answer requests."""

from dataclasses import dataclass
from typing import Self

from gateway.config import GatewaySettings
from gateway.heartbeat import HeartbeatTable
from gateway.store.clock_record import ClockRecord
from gateway.store.conflicts import ConflictList
from gateway.store.count_events_for_metrics import EventCounts
from gateway.store.database import Database
from gateway.store.decisions import DecisionList
from gateway.store.deliveries import DeliveryList
from gateway.store.file_storage import Storage
from gateway.store.jobs import JobList
from gateway.store.ledger import Ledger
from gateway.store.review_list import ReviewList
from gateway.store.study_index import StudyIndex
from gateway.store.workers import WorkerList
from gateway.web.authentication import Authenticator
from gateway.web.health import HealthCheck
from gateway.web.openid_connect import OpenIdConnect
from gateway.web.prepared_views import PreparedViews
from gateway.web.result_files import Results
from gateway.web.study_titles import StudyTitles
from gateway.web.waiting_count import WaitingCount
from totalmap.texts.catalogue import Texts, texts_in


@dataclass(frozen=True, slots=True, kw_only=True)
class WebContext:
    """Everything that the page needs to answer requests.

    Attributes:
        texts: The texts of the page, in the language of `web.language`.
    """

    settings: GatewaySettings
    texts: Texts
    database: Database
    storage: Storage
    jobs: JobList
    deliveries: DeliveryList
    decisions: DecisionList
    review_list: ReviewList
    waiting_count: WaitingCount
    ledger: Ledger
    conflicts: ConflictList
    clock: ClockRecord
    worker_list: WorkerList
    study_titles: StudyTitles
    study_index: StudyIndex
    results: Results
    views: PreparedViews
    authenticator: Authenticator
    oidc: OpenIdConnect | None
    health: HealthCheck
    event_counts: EventCounts

    @classmethod
    def open(
        cls,
        settings: GatewaySettings,
        database: Database,
        heartbeats: HeartbeatTable | None = None,
        texts: Texts | None = None,
    ) -> Self:
        """Returns the context for a database and its storage folder.

        Args:
            settings: Of the gateway.
            database: The database of the ledger.
            heartbeats: The heartbeats of all processes of this machine; None: there is no
                supervisor.
            texts: The texts of the page; None: those of `web.language`.

        Raises:
            ConfigError: A file that `web.oidc` names can't be read.
        """
        storage, jobs = Storage(settings.storage_folder), JobList(database)
        ledger = Ledger(database)
        web, event_counts = settings.web, EventCounts(database)
        review_list = ReviewList(database, settings.review.verdicts)
        return cls(
            settings=settings,
            texts=texts or texts_in(web.language),
            database=database,
            storage=storage,
            jobs=jobs,
            deliveries=DeliveryList(database),
            decisions=DecisionList(database),
            review_list=review_list,
            waiting_count=WaitingCount(review_list, event_counts),
            ledger=ledger,
            conflicts=ConflictList(database),
            clock=ClockRecord(database),
            worker_list=WorkerList(database),
            study_titles=StudyTitles(database, storage),
            study_index=StudyIndex(database),
            results=Results(jobs, storage),
            views=PreparedViews(storage, ledger),
            authenticator=Authenticator(web, database),
            oidc=OpenIdConnect(web.oidc, web.public_url or "") if web.oidc else None,
            health=HealthCheck(settings, storage, database, heartbeats),
            event_counts=event_counts,
        )

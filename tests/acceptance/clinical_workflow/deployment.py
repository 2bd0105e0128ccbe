"""Runs the services of a site, with the files that `totalmap deploy render` writes for it."""

import json
import uuid
from pathlib import Path

import yaml
from pika.adapters.blocking_connection import BlockingChannel

from deploy.render.render_files import render_files
from deploy.site_options import Site, Target
from tests.acceptance.clinical_workflow.aide_backend import AideBackend, Answer
from tests.acceptance.clinical_workflow.argo_plugin import ArgoPlugin
from tests.acceptance.clinical_workflow.clinical_review_plugin import ClinicalReviewPlugin
from tests.acceptance.clinical_workflow.export_service import ExportService
from tests.acceptance.clinical_workflow.message_bus import MessageBus
from tests.acceptance.clinical_workflow.task_manager import Plugin, TaskManager
from tests.acceptance.clinical_workflow.workflow_instance import (
    WorkflowInstance,
    WorkflowTemplate,
)
from tests.acceptance.clinical_workflow.workflow_manager import WorkflowManager
from tests.acceptance.task_manager.container_runner import Runner
from tests.acceptance.task_manager.informatics_gateway import receive_study
from tests.acceptance.task_manager.object_store import ObjectStore
from tests.acceptance.task_manager.workflow_manager import BUCKET
from tests.conftest import REPOSITORY
from totalmap.settings import load_settings


class Deployment:
    """The services of a site with one clinical workflow.

    Attributes:
        runner: Runs the container of the WorkflowTemplate.
    """

    def __init__(
        self, channel: BlockingChannel, store: ObjectStore, site: Site, runner: Runner
    ) -> None:
        settings = load_settings(REPOSITORY / "app.yaml", {})
        texts = {file.name: file.text for file in render_files(Target.ARGO, settings, site)}
        template = WorkflowTemplate.model_validate(json.loads(texts["totalmap.json"]))
        argo_template = yaml.safe_load(texts["totalmap-template.yaml"])
        self._store = store
        self.bus = MessageBus(channel)
        self.argo = ArgoPlugin(argo_template, runner, self.bus, store)
        self.manager = WorkflowManager(template, self.bus, store)
        self.aide = AideBackend(self.bus, store)
        self.exports = ExportService(self.bus, store)
        plugins: dict[str, Plugin] = {
            "argo": self.argo,
            "aide_clinical_review": ClinicalReviewPlugin(self.bus),
        }
        self._services = (
            self.manager,
            TaskManager(self.bus, plugins),
            self.aide,
            self.exports,
        )

    def receive(self, files: list[Path]) -> WorkflowInstance:
        """Takes a study, and returns when no service has anything left to do."""
        payload_id = str(uuid.uuid4())
        receive_study(self._store, BUCKET, payload_id, files)
        instance = self.manager.start(payload_id)
        self.deliver()
        return instance

    def decide(self, answer: Answer) -> int:
        """Answers the only review that waits; returns the status of the HTTP response."""
        (review,) = self.aide.waiting(*answer.roles)
        status = self.aide.decide(review.request.execution_id, answer)
        self.deliver()
        return status.value

    def deliver(self) -> None:
        """Delivers all messages."""
        self.bus.deliver_all(self._services)

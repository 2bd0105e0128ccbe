"""The settings of gateway.yaml, a module for each section."""

from gateway.config.alarms_section import (
    EMAIL,
    AlarmKind,
    AlarmsSection,
    EmailSection,
    MailEncryption,
    WebhookSection,
)
from gateway.config.audit_section import AuditSection, SyslogSection
from gateway.config.deliver_section import (
    SENDER,
    DeliverSection,
    DestinationSection,
    DicomDestination,
    StowDestination,
    retry_seconds,
)
from gateway.config.receive_section import (
    OrthancSection,
    ReceiveSection,
    SenderSection,
    StowReceiveSection,
    TlsSection,
    WatchedFolderSection,
)
from gateway.config.retention_section import RetentionSection
from gateway.config.review_section import ReviewSection
from gateway.config.roles import Role
from gateway.config.rules_section import CompleteSection, RuleSection
from gateway.config.settings import (
    GatewaySettings,
    load_gateway_settings,
    systemd_socket,
    use_gpu,
)
from gateway.config.supervise_section import MemorySection, SuperviseSection
from gateway.config.web_section import OidcSection, WebSection
from gateway.config.work_section import ContainerSection, RunnerKind, WorkSection

__all__ = [
    "EMAIL",
    "SENDER",
    "AlarmKind",
    "AlarmsSection",
    "AuditSection",
    "CompleteSection",
    "ContainerSection",
    "DeliverSection",
    "DestinationSection",
    "DicomDestination",
    "EmailSection",
    "GatewaySettings",
    "MailEncryption",
    "MemorySection",
    "OidcSection",
    "OrthancSection",
    "ReceiveSection",
    "RetentionSection",
    "ReviewSection",
    "Role",
    "RuleSection",
    "RunnerKind",
    "SenderSection",
    "StowDestination",
    "StowReceiveSection",
    "SuperviseSection",
    "SyslogSection",
    "TlsSection",
    "WatchedFolderSection",
    "WebSection",
    "WebhookSection",
    "WorkSection",
    "load_gateway_settings",
    "retry_seconds",
    "systemd_socket",
    "use_gpu",
]

"""Stands in for the services that carry a study through a clinical workflow with a review.

These are MONAI's Workflow Manager and Task Manager (plug-ins argo and aide_clinical_review), the
export of the Informatics Gateway, and the public backend of AIDE. All need .NET. They exchange
their messages by a real RabbitMQ, and files by an object store.

Source: Project-MONAI/monai-deploy-workflow-manager at revision 9e10e95 (WorkflowExecuterService,
EventMapper, ArtifactMapper, TaskExecutionStatusExtensions, ConditionalParameterParser,
ConditionalGroup, Conditional, TaskManager, ArgoPlugin, ArgoMetadataRepository,
AideClinicalReviewPlugin) and AI4VBH/AIDE-clinical-review-api at revision 1ce431b
(AideClinicalReviewRequestCallBackHandler, ClinicalReviewController, ClinicalReviewValidator,
ClinicalReviewService, EventMapper).

Left out, because it changes neither the way of a study nor what is exported: time-outs, temporary
credentials, attributes of the patient in a request, statistics, and tasks of other types. Argo and
Kubernetes are replaced by a process with the environment of the WorkflowTemplate; one attempt is
made. A message that a service can't handle becomes a dead letter at once: the originals try again
first, with a delay.
"""

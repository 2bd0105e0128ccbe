"""Validates clinical workflows of MONAI Deploy and Argo WorkflowTemplates."""

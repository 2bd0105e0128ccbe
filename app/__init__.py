"""The MONAI Deploy application: composes the operators and maps errors to exit statuses."""

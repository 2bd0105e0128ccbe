"""The service beside the PACS: receives studies, has them segmented, and sends results back."""

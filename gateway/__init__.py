"""The one-box service beside the PACS: receives studies, has them segmented, sends results back."""

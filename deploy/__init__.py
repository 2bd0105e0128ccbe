"""What a site needs to run TotalMAP under MONAI Deploy, rendered from app.yaml and checked."""

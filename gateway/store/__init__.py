"""What the gateway knows: instances, jobs, deliveries, events, and where the files are."""

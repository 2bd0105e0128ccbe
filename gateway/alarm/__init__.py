"""Tells operators of faults: by e-mail and by webhooks, without patient data."""

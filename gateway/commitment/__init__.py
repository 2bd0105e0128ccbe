"""Storage commitment (PS3.4 J): the gateway asks destinations for it, and gives it to senders."""

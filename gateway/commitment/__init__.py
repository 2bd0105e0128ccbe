"""Storage commitment (PS3.4 J), asked of destinations and given to senders."""

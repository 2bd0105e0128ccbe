"""The migrations, in the order of their numbers; gateway/store/schema.py names the newest."""

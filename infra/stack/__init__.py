"""The embedded stack: its parts, started in order, watched, and stopped."""

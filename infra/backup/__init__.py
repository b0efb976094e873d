"""Backup and restore of a stack's databases and buckets, for the embedded stack and for servers run elsewhere."""

"""Who was champion when, and where a version came from."""

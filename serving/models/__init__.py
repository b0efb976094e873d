"""Which versions are live: fetched, checked, kept on disk, and ready to predict."""

"""Where data is: the S3 store, allowed addresses, downloads, folders, and the generated default."""

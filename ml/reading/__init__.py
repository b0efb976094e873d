"""From the bytes of a file to a table of values: one reading for training, scoring and serving."""

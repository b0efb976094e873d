"""What a run may be told: the keys of `pipeline.yaml`, their defaults, and how they are read."""

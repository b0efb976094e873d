"""May a version be promoted? The checks, the verdict, and how it is shown."""

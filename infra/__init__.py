"""How everything starts: settings, the embedded stack, and the command line."""

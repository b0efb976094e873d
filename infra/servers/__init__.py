"""The servers of a stack, one module each: files, command, variables, accounts."""

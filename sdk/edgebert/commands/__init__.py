"""The public functions: each command of the command line is one of them, of the same name and arguments."""

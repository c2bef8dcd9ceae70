"""Errors and exit codes, files that survive a crash, signals, terminal text, the machine."""

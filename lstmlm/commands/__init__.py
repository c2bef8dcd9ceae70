"""The sub-commands of lstmlm, a file each."""

"""The C sources and how they are built."""

"""The settings of a run: their types, bounds and help, and how Hydra, YAML and the command line write them."""

"""The sub-commands of lstmlm, a file each; options, adaptive_options, display and shading are shared by them."""

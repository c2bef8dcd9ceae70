"""Train a model: python train.py backend=scratch. `--help` lists every setting."""

import sys

from lstmlm.runs.launch import train

if __name__ == "__main__":
    sys.exit(train(sys.argv[1:]))

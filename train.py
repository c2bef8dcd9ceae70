"""Train a model: python train.py backend=scratch. `--help` lists every setting."""

import sys

if __name__ == "__main__":
    try:
        from lstmlm.system.interrupts import exit_on_interrupt, handle_interrupts, ignore_interrupts

        handle_interrupts()
        with exit_on_interrupt():
            from lstmlm.runs.launch import train
        code = train(sys.argv[1:])
        ignore_interrupts()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 130
    sys.exit(code)

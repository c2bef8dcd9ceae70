"""`python -m lstmlm`, and the installed command `lstmlm`."""

import sys


def main() -> None:
    """Run the command line and exit with its code. Ctrl-C during the imports is one line, too."""
    try:
        from lstmlm.system.interrupts import exit_on_interrupt, handle_interrupts, ignore_interrupts

        handle_interrupts()
        with exit_on_interrupt():
            from lstmlm import cli
        code = cli.main()
        ignore_interrupts()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()

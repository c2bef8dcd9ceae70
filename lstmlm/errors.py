"""What can end a command, and with which exit code. The message is one line: `what: where: what to do`."""


class LstmlmError(ValueError):
    """Ends a command with one line on stderr and `exit_code`; never with a traceback."""

    exit_code = 2


class BadInput(LstmlmError):
    """The user gave something that cannot be used: a setting, a text, a prompt, a checkpoint."""


class Diverged(LstmlmError):
    """The loss or the norm of its gradient is no longer a finite number."""

    exit_code = 3


class EnvironmentFault(LstmlmError):
    """The machine refused: disk, permission, memory, lock."""

    exit_code = 4


class Stopped(LstmlmError):
    """Ctrl-C (130) or SIGTERM (143), after the step was finished and saved."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code

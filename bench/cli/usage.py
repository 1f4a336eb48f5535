"""What typer says of a wrong command line, in one line."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import typer


class Context(Protocol):
    """Which command was typed."""

    @property
    def command_path(self) -> str: ...


@runtime_checkable
class WrongUsage(Protocol):
    """Typer's error of a wrong command line, which it does not export."""

    ctx: Context | None

    def format_message(self) -> str: ...


def run(app: typer.Typer) -> str:
    """Run the command that was typed; return what is wrong with its words, or nothing. Raises SystemExit at its end.

    Typer has already shown the help where a group was typed without a command; its error then says nothing.
    """
    try:
        code = app(prog_name="weighbridge", standalone_mode=False)
    except typer.Abort:
        raise SystemExit(1) from None
    except Exception as error:
        if not isinstance(error, WrongUsage):
            raise
        told, typed = error.format_message().rstrip("."), error.ctx.command_path if error.ctx else "weighbridge"
        return f"{told[:1].lower()}{told[1:]}; type: {typed} --help" if told else ""
    raise SystemExit(code if isinstance(code, int) else 0)

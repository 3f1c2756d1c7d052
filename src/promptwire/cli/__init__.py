"""The command line: ``promptwire``. Each command lies in a file of its own, imported when it is called."""

from promptwire.cli.group import main

__all__ = ["main"]

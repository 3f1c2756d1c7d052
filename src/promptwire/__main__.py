"""``python -m promptwire``."""

from promptwire.cli import main

main()

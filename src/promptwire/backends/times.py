"""Times as servers write them."""

from datetime import UTC, datetime


def read_time(value: object) -> datetime | None:
    """An ISO 8601 text as a time with a zone, UTC unless it names one; ``None`` for anything else."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)

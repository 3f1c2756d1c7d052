"""The requests that go to models, as Promptwire's own debug log shows them."""

import logging
from typing import Self

from promptwire.log import logger


class RequestLog(logging.Handler):
    """Inside ``with RequestLog() as sent:``, ``sent.last`` is the last model request as curl, its keys masked."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.last = ""
        self._before = (logger.level, logger.propagate)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, if it is a request."""
        if record.levelno == logging.DEBUG and str(record.msg).startswith("POST Request Sent"):
            self.last = record.getMessage().partition("\n")[2]

    def __enter__(self) -> Self:
        logger.addHandler(self)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        logger.removeHandler(self)
        logger.level, logger.propagate = self._before

"""Ids for runs, releases and requests that the user has not named."""

import secrets
import time


def made_id(prefix: str) -> str:
    """An id with the time (UTC) and four random digits, `run-20260504-120000-ab12` for example."""
    return f"{prefix}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"

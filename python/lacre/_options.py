"""The options of one request to `lacre.Cache`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypedDict


class RequestOptions(TypedDict, total=False):
    """Options of one request. At most one of those that are true or false may be true."""

    #: The lifetime of the response: seconds, a `timedelta`, an aware `datetime` or a text such as
    #: "1h30m".
    expire_after: float | timedelta | datetime | str
    #: Validate a stored response before it is used.
    refresh: bool
    #: Send the request in any case, and store the response.
    force_refresh: bool
    #: Answer from the cache, or with status 504.
    only_if_cached: bool
    #: Neither answer from the cache nor store the response.
    no_store: bool
    #: Accept a stored response that is stale by at most so many seconds.
    max_stale: float
    #: The user or tenant of the request, if its headers do not identify one. Different partitions
    #: share no entries.
    partition: str
    #: A name for inputs that the driver cannot inspect: an `SSLContext`, or a transport or
    #: connector of your own. Requests with the same name share entries, in later processes, too.
    #: Without a name, only requests through the same object do.
    transport: str
    #: Labels of the stored response.
    tags: Sequence[str]

"""What is wished for one request to lacre's own cache."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypedDict


class RequestOptions(TypedDict, total=False):
    """Wishes for one request. Of those that are true or false, at most one is true."""

    #: The lifetime of its answer.
    expire_after: float | timedelta | datetime | str
    #: A stored answer is validated before it is used.
    refresh: bool
    #: It is fetched anew, and stored.
    force_refresh: bool
    #: It is answered from the cache, or with 504.
    only_if_cached: bool
    #: The cache neither answers nor stores.
    no_store: bool
    #: An answer may be stale by as many seconds.
    max_stale: float
    #: On whose behalf it is made, where its headers do not tell. Different partitions share nothing.
    partition: str
    #: A name for what the driver cannot see of how it is sent: an `SSLContext`, a transport or a connector of your own.
    #: What is so named is shared under that name, also with later processes; without one, it is served through the same
    #: object only.
    transport: str
    #: Labels of the stored answer.
    tags: Sequence[str]

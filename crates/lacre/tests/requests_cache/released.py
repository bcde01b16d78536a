"""Reads files that lacre wrote into the directory `argv[1]`, with the released requests-cache.

It prints a line of JSON for each case and sends nothing: a miss is an error.
"""

import json
import sys
from pathlib import Path

from requests_cache import CachedSession
from requests_cache.serializers import safe_pickle_serializer

SECRET = "a secret of at least 32 random bytes"
URL = "http://example.com/page?b=2&a=1"


def shown(response):
    return {
        "status": response.status_code,
        "reason": response.reason,
        "url": response.url,
        "headers": dict(response.headers),
        "body": response.content.hex(),
        "encoding": response.encoding,
        "cookies": dict(response.cookies.items()),
        "created": response.created_at.isoformat(),
        "expires": response.expires.isoformat() if response.expires else None,
        "history": [hop.url for hop in response.history],
        "method": response.request.method,
        "request_headers": dict(response.request.headers),
    }


for name in ["pickle", "json", "yaml", "safe_pickle"]:
    serializer = safe_pickle_serializer(secret_key=SECRET) if name == "safe_pickle" else name
    with CachedSession(
        Path(sys.argv[1]) / name, backend="filesystem", serializer=serializer
    ) as session:
        response = session.get(URL, only_if_cached=True)
        assert response.from_cache, f"{name}: {response.status_code}"
        print(json.dumps(shown(response)))

"""Cache keys as requests-cache computes them, and redaction of stored responses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import nullcontext
from hashlib import blake2b, sha256
from logging import getLogger
from sys import maxsize
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from requests import Request, Session
from requests.structures import CaseInsensitiveDict

from . import _lacre
from ._bodies import read_and_rewind
from ._transport import certificates
from ._utils import decode, encode, is_json_content_type, patch_form_boundary

if TYPE_CHECKING:
    from .models import AnyPreparedRequest, AnyRequest, CachedResponse

__all__ = [
    "create_key",
    "normalize_body",
    "normalize_headers",
    "normalize_params",
    "normalize_request",
    "normalize_url",
]

#: The size limit of JSON bodies that are normalized, in bytes.
MAX_NORM_BODY_SIZE = 10 * 1024 * 1024

#: The replacement of an ignored value. The name stays, so that a request with the parameter and one
#: without have different keys.
REDACTED = "REDACTED"

ParamList = Iterable[str] | None

logger = getLogger(__name__)


def create_key(
    request: AnyRequest,
    ignored_parameters: ParamList = None,
    match_headers: ParamList | bool = False,
    serializer: Any = None,
    content_root_key: str | None = None,
    **request_kwargs: Any,
) -> str:
    """Computes the cache key of a request: hexadecimal digits.

    Args:
        request: The request.
        ignored_parameters: Names of query parameters, headers and body fields whose values are not
            part of the key.
        match_headers: Names of headers that are part of the key; True for all.
        serializer: The serializer. Formats share no entries.
        content_root_key: The field of a JSON body that holds the parameters.
        request_kwargs: Other arguments of `requests.Session.send`; `verify` and `cert` are part of
            the key.
    """
    other_host = _overridden_host(request)
    request = normalize_request(request, ignored_parameters, content_root_key)
    parts = [
        request.method,
        request.url,
        request.body,
        bool(request_kwargs.get("verify", True)),
        *get_matched_headers(request.headers, match_headers),
        *other_host,
        *_certificates(**request_kwargs),
        str(serializer),
    ]
    try:
        digest = blake2b(digest_size=8)
    except (TypeError, ValueError):
        # Python was built without blake2b, or runs in FIPS mode.
        digest = sha256()  # type: ignore[assignment]
    for part in parts:
        digest.update(encode(part))
    return digest.hexdigest()


def _overridden_host(request: AnyRequest) -> list[str]:
    """Returns the `Host` of a request if it differs from the host of the URL (RFC 9110 §7.2)."""
    host = decode((request.headers or {}).get("Host")).strip().lower()
    if not host:
        return []
    parts = urlsplit(decode(request.url))
    own = parts.netloc.rpartition("@")[2].lower()
    default = {"http": ":80", "https": ":443"}.get(parts.scheme.lower(), "")
    return [] if host.removesuffix(default) == own.removesuffix(default) else [f"\0host={host}"]


def _certificates(verify: Any = True, cert: Any = None, **_: Any) -> list[str]:
    """Returns the key parts for `verify` and `cert` that differ from the defaults of requests."""
    parts = []
    if verify is not None and not isinstance(verify, bool):
        parts.append(f"\0roots={sha256(certificates(verify)).hexdigest()}")
    if cert:
        chain = cert[0] if isinstance(cert, (tuple, list)) else cert
        parts.append(f"\0cert={sha256(certificates(chain)).hexdigest()}")
    return parts


def get_matched_headers(headers: Mapping[str, Any], match_headers: ParamList | bool) -> list[str]:
    """Returns the matched headers as `name=value`, sorted by name."""
    if not match_headers:
        return []
    names = headers if match_headers is True else match_headers
    return [
        f"{name.lower()}={headers[name]}"
        for name in sorted(names, key=str.lower)
        if name in headers
    ]


def normalize_request(
    request: AnyRequest, ignored_parameters: ParamList = None, content_root_key: str | None = None
) -> AnyPreparedRequest:
    """Returns a prepared and normalized copy of a request.

    Args:
        request: The request.
        ignored_parameters: Names of parameters that are redacted.
        content_root_key: The field of a JSON body that holds the parameters.
    """
    if isinstance(request, Request):
        with patch_form_boundary() if request.files else nullcontext():
            copy: AnyPreparedRequest = Session().prepare_request(request)
    else:
        copy = request.copy()
    copy.method = (copy.method or "").upper()
    copy.url = normalize_url(copy.url or "", ignored_parameters)
    copy.headers = normalize_headers(copy.headers, ignored_parameters)
    copy.body = normalize_body(copy, ignored_parameters, content_root_key)
    return copy


def normalize_headers(
    headers: MutableMapping[str, Any], ignored_parameters: ParamList = None
) -> CaseInsensitiveDict[str]:
    """Returns headers sorted by name, their list values sorted and in lower case.

    Args:
        headers: The headers.
        ignored_parameters: Names of parameters that are redacted.
    """
    texts: Mapping[str, str] = {name: decode(value) for name, value in headers.items()}
    if ignored_parameters:
        texts = filter_sort_dict(texts, ignored_parameters)
    return CaseInsensitiveDict({name: _sorted_list(value) for name, value in texts.items()})


def _sorted_list(value: str) -> str:
    if "," not in value:
        return value
    members = [member.strip() for member in value.lower().split(",")]
    return ", ".join(sorted(member for member in members if member))


def normalize_url(url: str, ignored_parameters: ParamList) -> str:
    """Returns a URL in normal form, its query sorted.

    Args:
        url: The URL.
        ignored_parameters: Names of parameters that are redacted.
    """
    return _lacre.normalize_url(url, list(ignored_parameters or ()))


def normalize_body(
    request: AnyPreparedRequest, ignored_parameters: ParamList, content_root_key: str | None = None
) -> bytes:
    """Returns the body of a request; JSON and forms are sorted. A file is read and rewound.

    Args:
        request: The request.
        ignored_parameters: Names of parameters that are redacted.
        content_root_key: The field of a JSON body that holds the parameters.
    """
    if not request.body:
        return b""
    body: str | bytes = _whole(request.body)
    content_type = (
        decode(request.headers.get("Content-Type") if request.headers else None)
        .split(";")[0]
        .lower()
    )
    if is_json_content_type(content_type):
        body = normalize_json_body(body, ignored_parameters, content_root_key)
    elif content_type == "application/x-www-form-urlencoded":
        body = normalize_params(body, ignored_parameters)
    return encode(body)


def _whole(body: Any) -> str | bytes:
    if not hasattr(body, "read"):
        return body  # type: ignore[no-any-return]
    content = read_and_rewind(body, maxsize)
    if content is None:
        logger.warning("a request body was read for its cache key and cannot be rewound")
        return body.read() or b""
    return content


def normalize_json_body(
    original_body: str | bytes, ignored_parameters: ParamList, content_root_key: str | None = None
) -> str | bytes:
    """Sorts the members of the outermost object or array; returns invalid JSON unchanged."""
    if not 2 < len(original_body) <= MAX_NORM_BODY_SIZE:
        return original_body
    try:
        body = json.loads(decode(original_body))
        if content_root_key and isinstance(body, dict) and content_root_key in body:
            body[content_root_key] = filter_sort_json(body[content_root_key], ignored_parameters)
        else:
            body = filter_sort_json(body, ignored_parameters)
        return json.dumps(body)
    except (AttributeError, TypeError, ValueError, RecursionError):
        logger.debug("a body is no valid JSON, or cannot be sorted")
        return original_body


def normalize_params(value: str | bytes, ignored_parameters: ParamList = None) -> str:
    """Sorts a query or a form: pairs first, then names without a value.

    Args:
        value: The query or form.
        ignored_parameters: Names of parameters that are redacted.
    """
    text = decode(value)
    pairs = urlencode(filter_sort_multidict(parse_qsl(text), ignored_parameters))
    bare = "&".join(sorted(name for name in text.split("&") if name and "=" not in name))
    return "&".join(part for part in (pairs, bare) if part)


def filter_sort_json(data: Any, ignored_parameters: ParamList) -> Any:
    """Sorts an object or array, without its members."""
    if isinstance(data, Mapping):
        return filter_sort_dict(data, ignored_parameters)
    return filter_sort_list(data, ignored_parameters)


def filter_sort_dict(
    data: Mapping[str, Any], ignored_parameters: ParamList = None
) -> dict[str, Any]:
    """Sorts by name and redacts ignored values. Their names stay part of the key."""
    ignored = set(ignored_parameters or ())
    return {name: REDACTED if name in ignored else value for name, value in sorted(data.items())}


def filter_sort_multidict(
    data: Iterable[tuple[str, str]], ignored_parameters: ParamList = None
) -> list[tuple[str, str]]:
    """Sorts pairs and redacts ignored values, for names that may repeat."""
    ignored = set(ignored_parameters or ())
    return [(name, REDACTED if name in ignored else value) for name, value in sorted(data)]


def filter_sort_list(data: Iterable[Any], ignored_parameters: ParamList = None) -> list[Any]:
    """Sorts members and removes ignored names."""
    ignored = set(ignored_parameters or ())
    return [member for member in sorted(data) if not ignored or member not in ignored]


def filter_url(url: str, ignored_parameters: ParamList) -> str:
    """Sorts the query of a URL and redacts ignored values."""
    if "?" not in url and "#" not in url:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=normalize_params(parts.query, ignored_parameters)))


def redact_response(response: CachedResponse, ignored_parameters: ParamList) -> CachedResponse:
    """Redacts ignored parameters in a response, whatever the case of their names.

    This covers its URL, headers and request, and those of its redirects.
    """
    if not ignored_parameters:
        return response
    ignored = {name.lower() for name in ignored_parameters}
    response.url = filter_url(response.url or "", _ignored_names(response.url, ignored))
    response.request.url = filter_url(
        response.request.url or "", _ignored_names(response.request.url, ignored)
    )
    for each in (response, *response.history):
        each.url = _redacted_url(each.url or "", ignored)
        _redact_headers(each.headers, ignored)
        request = each.request
        request.url = _redacted_url(request.url or "", ignored)
        _redact_headers(request.headers, ignored)
        request.body = _redacted_body(request, ignored)
    return response


def _redacted_url(url: str, ignored: set[str]) -> str:
    """Redacts a URL; returns it unchanged if it has no ignored parameter."""
    names = _ignored_names(url, ignored)
    return filter_url(url, names) if names else url


def _ignored_names(url: str | None, ignored: set[str]) -> set[str]:
    """Returns the ignored parameters of a URL in the case that the URL uses."""
    if not url or "?" not in url:
        return set()
    return {name for name, _ in parse_qsl(urlsplit(url).query) if name.lower() in ignored}


def _redact_headers(headers: CaseInsensitiveDict[Any], ignored: set[str]) -> None:
    for name in headers:
        lower = name.lower()
        if lower in ignored:
            headers[name] = REDACTED
        elif lower == "location":
            headers[name] = _redacted_url(decode(headers[name]), ignored)


def _redacted_body(request: Any, ignored: set[str]) -> bytes:
    if not request.body:
        return b""
    body = _whole(request.body)
    content_type = decode(request.headers.get("Content-Type")).split(";")[0].lower()
    if content_type == "application/x-www-form-urlencoded":
        return encode(normalize_params(body, _ignored_names(f"?{decode(body)}", ignored)))
    if is_json_content_type(content_type) and 2 < len(body) <= MAX_NORM_BODY_SIZE:
        try:
            return encode(json.dumps(_redacted_json(json.loads(decode(body)), ignored)))
        except (ValueError, RecursionError):
            return encode(body)
    return encode(body)


def _redacted_json(data: Any, ignored: set[str]) -> Any:
    if isinstance(data, dict):
        return {
            name: REDACTED if name.lower() in ignored else _redacted_json(value, ignored)
            for name, value in sorted(data.items())
        }
    if isinstance(data, list):
        return [_redacted_json(member, ignored) for member in data]
    return data

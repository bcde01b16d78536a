"""Models of stored requests and responses."""

from typing import Union

from requests import PreparedRequest, Request, Response

from .base import RichMixin as RichMixin
from .raw_response import CachedHTTPResponse as CachedHTTPResponse
from .request import CachedRequest as CachedRequest
from .response import BaseResponse as BaseResponse
from .response import CachedResponse as CachedResponse
from .response import DecodedContent as DecodedContent
from .response import OriginalResponse as OriginalResponse

AnyResponse = Union[OriginalResponse, CachedResponse]
AnyRequest = Union[Request, PreparedRequest, CachedRequest]
AnyPreparedRequest = Union[PreparedRequest, CachedRequest]

__all__ = [
    "AnyPreparedRequest",
    "AnyRequest",
    "AnyResponse",
    "BaseResponse",
    "CachedHTTPResponse",
    "CachedRequest",
    "CachedResponse",
    "OriginalResponse",
    "Request",
    "Response",
    "RichMixin",
]

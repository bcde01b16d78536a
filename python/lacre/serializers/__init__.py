"""Serializers: the conversion of responses to stored data and back."""

from __future__ import annotations

import pickle
from typing import Any, Union

from .cattrs import CattrStage as CattrStage
from .pipeline import SerializerPipeline as SerializerPipeline
from .pipeline import Stage as Stage
from .preconf import bson_document_serializer as bson_document_serializer
from .preconf import bson_serializer as bson_serializer
from .preconf import dict_serializer as dict_serializer
from .preconf import dynamodb_document_serializer as dynamodb_document_serializer
from .preconf import json_serializer as json_serializer
from .preconf import orjson_serializer as orjson_serializer
from .preconf import pickle_serializer as pickle_serializer
from .preconf import safe_pickle_serializer as safe_pickle_serializer
from .preconf import ujson_serializer as ujson_serializer
from .preconf import utf8_encoder as utf8_encoder
from .preconf import utf8_serializer as utf8_serializer
from .preconf import yaml_serializer as yaml_serializer
from .sealed import SealedSerializer as SealedSerializer
from .sealed import choose_serializer as choose_serializer

SERIALIZERS: dict[str, Any] = {
    "bson": bson_serializer,
    "json": json_serializer,
    "ujson": ujson_serializer,
    "orjson": orjson_serializer,
    "pickle": pickle_serializer,
    "yaml": yaml_serializer,
}

#: The name of a serializer, or an object with `dumps` and `loads`.
SerializerType = Union[str, SerializerPipeline, Stage, Any]


def init_serializer(
    serializer: SerializerType | None, decode_content: bool
) -> SerializerPipeline | None:
    """Makes a pipeline that a backend can configure.

    Args:
        serializer: The name of a serializer, or an object with `dumps` and `loads`.
        decode_content: Store JSON and text bodies as values instead of bytes.

    Raises:
        KeyError: The name is unknown.
    """
    if not serializer:
        return None
    if serializer is pickle:
        # The module would run what it reads.
        serializer = "pickle"
    if isinstance(serializer, str) and serializer == "sealed":
        serializer = SealedSerializer()
    if isinstance(serializer, str):
        serializer = SERIALIZERS[serializer]
    if isinstance(serializer, SerializerPipeline):
        pipeline = serializer.copy()
    else:
        pipeline = SerializerPipeline([serializer], name=str(serializer))
    pipeline.set_decode_content(decode_content)
    return pipeline

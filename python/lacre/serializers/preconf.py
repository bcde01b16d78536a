"""The serializers of requests-cache by format. Optional libraries are imported on first use."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from importlib import import_module
from typing import Any

from .. import _lacre
from .cattrs import CattrStage
from .pipeline import SerializerPipeline, Stage
from .plain import BASE64, BSON, DYNAMODB

base_stage = CattrStage()
utf8_encoder = Stage(dumps=str.encode, loads=bytes.decode)
utf8_serializer = SerializerPipeline([utf8_encoder], "utf8", is_binary=True)
#: Pickles of plain data. Code in a pickle is never run.
pickle_stage = Stage(dumps=_lacre.pickle_dumps, loads=_lacre.pickle_loads)

bson_preconf_stage = CattrStage(notation=BSON)
json_preconf_stage = CattrStage(notation=BASE64)
msgpack_preconf_stage = CattrStage()
orjson_preconf_stage = CattrStage(notation=BASE64)
toml_preconf_stage = CattrStage(notation=BASE64)
ujson_preconf_stage = CattrStage(notation=BASE64)
yaml_preconf_stage = CattrStage()
dynamodb_preconf_stage = CattrStage(notation=DYNAMODB)

dict_serializer = SerializerPipeline([base_stage], name="dict")
pickle_serializer = SerializerPipeline([base_stage, pickle_stage], name="pickle", is_binary=True)
json_serializer = SerializerPipeline(
    [json_preconf_stage, Stage(dumps=partial(json.dumps, indent=2), loads=json.loads)], name="json"
)


def signer_stage(secret_key: Any = None, salt: str | bytes = "requests-cache") -> Stage:
    """Makes a stage that signs data, and rejects data without a valid signature.

    Args:
        secret_key: A secret, or a list of them. The last one signs; any of them verifies.
        salt: The salt of itsdangerous.

    Raises:
        ImportError: itsdangerous is not installed.
    """
    from itsdangerous import Signer

    return Stage(Signer(secret_key=secret_key, salt=salt), dumps="sign", loads="unsign")


def safe_pickle_serializer(
    secret_key: Any = None, salt: str | bytes = "requests-cache", **_kwargs: Any
) -> SerializerPipeline:
    """Makes a serializer of signed pickles of plain data.

    Args:
        secret_key: A secret, or a list of them. The last one signs; any of them verifies.
        salt: The salt of itsdangerous.

    Raises:
        ImportError: itsdangerous is not installed.
    """
    stages = [base_stage, pickle_stage, signer_stage(secret_key, salt)]
    return SerializerPipeline(stages, name="safe_pickle", is_binary=True)


def _exact(value: Any) -> Any:
    """Converts floats to decimals: DynamoDB accepts no floats."""
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, list):
        return [_exact(member) for member in value]
    if isinstance(value, dict):
        return {name: _exact(member) for name, member in value.items()}
    return value


convert_float_stage = Stage(dumps=_exact, loads=lambda value: value)
dynamodb_document_serializer = SerializerPipeline(
    [dynamodb_preconf_stage, convert_float_stage], name="dynamodb_document"
)


class LibraryStage(Stage):
    """A stage of two functions of a library, which is imported on first use.

    Args:
        library: The name of the library.
        dumps: The name of the function that writes.
        loads: The name of the function that reads.
        options: More arguments of the function that writes.
    """

    def __init__(
        self, library: str, dumps: str = "dumps", loads: str = "loads", **options: Any
    ) -> None:
        self.library = library
        self.dumps = lambda value: getattr(import_module(library), dumps)(value, **options)
        self.loads = lambda value: getattr(import_module(library), loads)(value)

    def copy(self) -> LibraryStage:
        return self


#: The value of `orjson.OPT_INDENT_2`.
_INDENTED = 1

bson_serializer = SerializerPipeline(
    [bson_preconf_stage, LibraryStage("bson", "encode", "decode")], name="bson", is_binary=True
)
bson_document_serializer = SerializerPipeline([bson_preconf_stage], name="bson_document")
ujson_serializer = SerializerPipeline(
    [ujson_preconf_stage, LibraryStage("ujson", indent=2)], name="ujson"
)
orjson_serializer = SerializerPipeline(
    [orjson_preconf_stage, LibraryStage("orjson", option=_INDENTED)], name="orjson", is_binary=True
)
yaml_serializer = SerializerPipeline(
    [yaml_preconf_stage, LibraryStage("yaml", "safe_dump", "safe_load")], name="yaml"
)

"""The DynamoDB backend: responses as readable documents, redirects in memory only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import boto3
from boto3.dynamodb.types import Binary
from botocore.exceptions import ClientError

from .._utils import get_valid_kwargs
from ..serializers import SerializerType, dynamodb_document_serializer
from .base import BaseCache, BaseStorage


class DynamoDbCache(BaseCache):
    """A cache in DynamoDB.

    Args:
        table_name: The name of the table.
        create_table: Create the table if it does not exist.
        ttl: Let DynamoDB delete expired responses.
        connection: A resource of boto3, instead of one made from `kwargs`.
        decode_content: Store JSON and text bodies as values instead of bytes.
        serializer: A serializer, instead of documents.
        kwargs: Arguments of `boto3.Session`, and `endpoint_url`.
    """

    def __init__(
        self,
        table_name: str = "http_cache",
        create_table: bool = True,
        *,
        ttl: bool = True,
        connection: Any = None,
        decode_content: bool = True,
        serializer: SerializerType | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(cache_name=table_name, **kwargs)
        chosen = {"serializer": serializer} if serializer else {}
        self.responses = DynamoDbDict(
            table_name,
            create_table=create_table,
            ttl=ttl,
            connection=connection,
            decode_content=decode_content,
            **chosen,
            **kwargs,
        )


class DynamoDbDict(BaseStorage[str, Any]):
    """A mapping in a DynamoDB table, with the attributes `key`, `value` and `ttl`.

    Args:
        table_name: The name of the table.
        create_table: Create the table if it does not exist.
        ttl: Let DynamoDB delete expired items.
        connection: A resource of boto3, instead of one made from `kwargs`.
        serializer: The serializer of values.
        kwargs: Arguments of `boto3.Session`, and `endpoint_url`.
    """

    def __init__(
        self,
        table_name: str,
        create_table: bool = True,
        ttl: bool = True,
        connection: Any = None,
        serializer: SerializerType | None = dynamodb_document_serializer,
        **kwargs: Any,
    ) -> None:
        super().__init__(serializer=serializer, **kwargs)
        options = get_valid_kwargs(boto3.Session.__init__, kwargs, extras=["endpoint_url"])
        self.connection = connection or boto3.resource("dynamodb", **options)
        self.table_name = table_name
        self.ttl = ttl
        self._table = self.connection.Table(table_name)
        if create_table:
            self._create_table()
        if ttl:
            self._enable_ttl()

    def _create_table(self) -> None:
        try:
            self.connection.create_table(
                TableName=self.table_name,
                AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
                BillingMode="PAY_PER_REQUEST",
            )
            self._table.wait_until_exists()
        except ClientError as error:
            _allow("ResourceInUseException", error)

    def _enable_ttl(self) -> None:
        try:
            self.connection.meta.client.update_time_to_live(
                TableName=self.table_name,
                TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": True},
            )
        except ClientError as error:
            # It is already enabled.
            _allow("ValidationException", error)

    def __getitem__(self, key: str) -> Any:
        found = self._table.get_item(Key={"key": key})
        if "Item" not in found:
            raise KeyError(key)
        return self.deserialize(key, found["Item"]["value"])

    def __setitem__(self, key: str, item: Any) -> None:
        row = {"key": key, "value": self.serialize(item)}
        expires = getattr(item, "expires_unix", None)
        if self.ttl and expires:
            row["ttl"] = expires
        self._table.put_item(Item=row)

    def __delitem__(self, key: str) -> None:
        if "Attributes" not in self._table.delete_item(Key={"key": key}, ReturnValues="ALL_OLD"):
            raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        # `key` is a reserved word of DynamoDB.
        for row in self._scan(ProjectionExpression="#k", ExpressionAttributeNames={"#k": "key"}):
            yield row["key"]

    def values(self) -> Any:
        """Returns the values, without a request for each."""
        return (self.deserialize(row["key"], row["value"]) for row in self._scan())

    def __len__(self) -> int:
        """Returns DynamoDB's estimate, updated every six hours: counting would read all rows."""
        return int(self._table.item_count)

    def bulk_delete(self, keys: Iterable[str]) -> None:
        with self._table.batch_writer() as batch:
            for key in keys:
                batch.delete_item(Key={"key": key})

    def clear(self) -> None:
        self.bulk_delete(self)

    def deserialize(self, key: str, value: Any) -> Any:
        return super().deserialize(key, value.value if isinstance(value, Binary) else value)

    def _scan(self, **options: Any) -> Iterator[dict[str, Any]]:
        """Yields all rows, page by page."""
        while True:
            page = self._table.scan(**options)
            yield from page["Items"]
            if not page.get("LastEvaluatedKey"):
                return
            options["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _allow(code: str, error: ClientError) -> None:
    """Raises an error unless it has this code."""
    if error.response["Error"]["Code"] != code:
        raise error

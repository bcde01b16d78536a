"""Responses in DynamoDB, as documents that can be read there; redirects in memory only."""

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
        table_name: the table
        create_table: make it if it is not there
        ttl: let DynamoDB delete what has expired
        connection: a resource of boto3 to be used, instead of one made from `kwargs`
        decode_content: store bodies of JSON and text as values
        serializer: instead of documents
        kwargs: what `boto3.Session` takes, and `endpoint_url`
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
    """A mapping that is a table of DynamoDB: items of `key`, `value` and, with an expiry, `ttl`."""

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
            # It is enabled already.
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
        # `key` is a reserved word there.
        for row in self._scan(ProjectionExpression="#k", ExpressionAttributeNames={"#k": "key"}):
            yield row["key"]

    def values(self) -> Any:
        """The values, without a request for each."""
        return (self.deserialize(row["key"], row["value"]) for row in self._scan())

    def __len__(self) -> int:
        """As DynamoDB estimates it every six hours: to count would cost reading everything."""
        return int(self._table.item_count)

    def bulk_delete(self, keys: Iterable[str]) -> None:
        """Deletes what is there of `keys`."""
        with self._table.batch_writer() as batch:
            for key in keys:
                batch.delete_item(Key={"key": key})

    def clear(self) -> None:
        self.bulk_delete(self)

    def deserialize(self, key: str, value: Any) -> Any:
        return super().deserialize(key, value.value if isinstance(value, Binary) else value)

    def _scan(self, **options: Any) -> Iterator[dict[str, Any]]:
        """All rows, page by page."""
        while True:
            page = self._table.scan(**options)
            yield from page["Items"]
            if not page.get("LastEvaluatedKey"):
                return
            options["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _allow(code: str, error: ClientError) -> None:
    """Raises every other error."""
    if error.response["Error"]["Code"] != code:
        raise error

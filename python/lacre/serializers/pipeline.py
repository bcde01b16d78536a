"""Serializers that consist of stages. Each stage converts values, and converts them back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class Stage:
    """A stage: a pair of functions, or of methods of an object or module.

    Args:
        obj: The object or module of the methods.
        dumps: The function, or the name of the method, that converts towards the stored form.
        loads: The function, or the name of the method, that converts back.
    """

    def __init__(
        self,
        obj: Any = None,
        dumps: str | Callable[[Any], Any] = "dumps",
        loads: str | Callable[[Any], Any] = "loads",
    ) -> None:
        self.obj = obj
        self.dumps = getattr(obj, dumps) if isinstance(dumps, str) else dumps
        self.loads = getattr(obj, loads) if isinstance(loads, str) else loads

    def copy(self) -> Stage:
        """Returns an equal stage."""
        return Stage(self.obj, self.dumps, self.loads)


class SerializerPipeline:
    """A serializer of stages, in the order in which they write.

    Args:
        stages: Objects with `dumps` and `loads`.
        name: The name, which is part of cache keys.
        is_binary: Whether the stored form is bytes.
    """

    def __init__(
        self, stages: Sequence[Any], name: str | None = None, is_binary: bool = False
    ) -> None:
        self.is_binary = is_binary
        self.stages = stages
        self.name = name

    def dumps(self, value: Any) -> Any:
        """Returns the stored form of a value.

        Args:
            value: The value.
        """
        for stage in self.stages:
            value = stage.dumps(value)
        return value

    def loads(self, value: Any) -> Any:
        """Returns the value of a stored form.

        Args:
            value: The stored form.
        """
        for stage in reversed(self.stages):
            value = stage.loads(value)
        return value

    def copy(self) -> SerializerPipeline:
        """Returns a pipeline of copies of the stages."""
        stages = [stage.copy() if hasattr(stage, "copy") else stage for stage in self.stages]
        return SerializerPipeline(stages, name=self.name, is_binary=self.is_binary)

    def set_decode_content(self, decode_content: bool) -> None:
        """Sets how stages store JSON and text bodies.

        Args:
            decode_content: Store them as values instead of bytes.
        """
        for stage in self.stages:
            if hasattr(stage, "decode_content"):
                stage.decode_content = decode_content

    def __str__(self) -> str:
        # It is part of cache keys.
        return f"SerializerPipeline(name={self.name}, n_stages={len(self.stages)})"

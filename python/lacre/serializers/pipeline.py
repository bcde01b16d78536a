"""Serializers out of parts, each of which turns one thing into another and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class Stage:
    """A part: two functions, or the two methods of an object or module.

    Args:
        obj: what has the methods, if they are given by name
        dumps: towards what is stored
        loads: back
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
        """Another one that does the same."""
        return Stage(self.obj, self.dumps, self.loads)


class SerializerPipeline:
    """Parts, in the order in which they write.

    Args:
        stages: anything with `dumps` and `loads`
        name: part of the keys of what is stored with it
        is_binary: whether it ends in bytes
    """

    def __init__(
        self, stages: Sequence[Any], name: str | None = None, is_binary: bool = False
    ) -> None:
        self.is_binary = is_binary
        self.stages = stages
        self.name = name

    def dumps(self, value: Any) -> Any:
        """What is stored for `value`."""
        for stage in self.stages:
            value = stage.dumps(value)
        return value

    def loads(self, value: Any) -> Any:
        """What was stored as `value`."""
        for stage in reversed(self.stages):
            value = stage.loads(value)
        return value

    def copy(self) -> SerializerPipeline:
        """Another one of copies of its parts, where those can be copied."""
        stages = [stage.copy() if hasattr(stage, "copy") else stage for stage in self.stages]
        return SerializerPipeline(stages, name=self.name, is_binary=self.is_binary)

    def set_decode_content(self, decode_content: bool) -> None:
        """Whether bodies are stored as values, for the parts that can do that."""
        for stage in self.stages:
            if hasattr(stage, "decode_content"):
                stage.decode_content = decode_content

    def __str__(self) -> str:
        # Part of keys.
        return f"SerializerPipeline(name={self.name}, n_stages={len(self.stages)})"

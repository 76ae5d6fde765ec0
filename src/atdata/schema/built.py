"""What makes classes of schemas at home in every process: where they live, and how they are sent.

Such a class is in no file. It belongs to a module of its own, which is made with it, and it is
pickled as its schema's record: whoever unpickles it makes it again, or finds it made. That is what
the metaclasses here are for; `copyreg` asks the class of what it writes, and the class of a class
is its metaclass. Samples, members of enums and named tuples are pickled as usual, by their class.
"""

import copyreg
import enum
import json
import sys
import weakref
from abc import ABCMeta
from collections.abc import Callable
from types import ModuleType
from typing import Any

RECORD = "__schema_record__"
"""Where a class keeps the record it is made again from, and its own name in it."""

HOME = "atdata.schema.built"


class BuiltType(ABCMeta):
    """The class of sample types and named tuples that are made of a schema."""


class BuiltEnumType(enum.EnumType):
    """The class of enums that are made of a schema."""


class Home(ModuleType):
    """The module of the classes of one schema. It keeps none of them alive."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "Types that were made of a schema.")
        self.__dict__["_types"] = weakref.WeakValueDictionary[str, Any]()

    def __getattr__(self, name: str) -> Any:
        found = self.__dict__["_types"].get(name)
        if found is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name)
        return found


def settle(name: str, types: dict[str, Any], record: str) -> None:
    """Give the classes of a schema their module, and what they are pickled as.

    Args:
        name: The module's name.
        types: The classes by their name in the schema; the sample type itself is `""`.
        record: The schema's record as JSON.
    """
    home = Home(name)
    for key, cls in types.items():
        cls.__module__ = name
        type.__setattr__(cls, RECORD, (record, key))
        home.__dict__["_types"][cls.__name__] = cls
    sys.modules[name] = home
    weakref.finalize(types[""], _leave, name, home)


def reader(load: Callable[[str, str], type[Any]]) -> None:
    """Say what makes a class again of a record and a name, and so how classes are pickled."""

    def reduce(cls: type[Any]) -> Any:
        own = vars(cls).get(RECORD)
        return cls.__qualname__ if own is None else (load, own)

    copyreg.pickle(BuiltType, reduce)
    copyreg.pickle(BuiltEnumType, reduce)


def record_text(record: dict[str, Any]) -> str:
    """A record as it is kept in classes and in pickles."""
    return json.dumps(record, separators=(",", ":"))


def _leave(name: str, home: Home) -> None:
    if sys.modules.get(name) is home:
        del sys.modules[name]

"""Records: dataclasses whose fields are the columns of a table and the keys of a sidecar."""

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, field, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.io.facts import Facts, to_key
from kraken_bids.io.output_streams import is_stream
from kraken_bids.io.writing import write_json, write_table

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")
WRITTEN = "words"
"""Metadata of the fields that :func:`column` makes."""
OPTIONAL = {"optional": True}
"""Metadata of a field that is left out of a sidecar where it is None, as every column is."""


def column(  # noqa: PLR0913 - what may be said of a field
    words: str = "",
    *,
    key: str | None = None,
    levels: Mapping[str, str] | None = None,
    default: Any = None,
    init: bool = True,
    in_table: bool = True,
    at_end: bool = False,
) -> Any:
    """Field of a record, whose name is that of the column.

    Parameters
    ----------
    words : str
        Description in the table's sidecar.
    key : str, optional
        Key in the sidecar of a connectome, where it is not the name in CamelCase.
    levels : mapping, optional
        Description of every value.
    init : bool
        Whether the constructor takes it.
    in_table : bool
        Whether tables have it.
    at_end : bool
        Whether it stands after all others in tables.
    """
    metadata = {
        **OPTIONAL,
        WRITTEN: words,
        "key": key,
        "levels": levels,
        "in_table": in_table,
        "at_end": at_end,
    }
    return field(default=default, init=init, metadata=metadata)


def write_records(
    path: Path,
    kinds: Sequence[type["DataclassInstance"]],
    rows: Sequence[Sequence["DataclassInstance"]],
    *,
    description: str,
    facts: Mapping[str, object] = types.MappingProxyType({}),
) -> None:
    """Write a table, and beside it what its columns mean.

    Parameters
    ----------
    kinds : sequence of type
        Kinds of the records that make up a row.
    rows : sequence of sequence of record
        One of each kind.
    description : str
        Of the table.
    facts : mapping, optional
        Further fields of its sidecar.
    """
    columns = _list_columns(kinds)
    write_table(
        path, {one.name: [getattr(row[k], one.name) for row in rows] for k, one in columns}
    )
    _write_words(path, [one for _, one in columns], description, facts)


def write_columns(
    path: Path,
    kind: type["DataclassInstance"],
    columns: Mapping[str, Sequence[Any] | NDArray[Any]],
    *,
    description: str,
    facts: Mapping[str, object],
) -> None:
    """Write a table of many records of one kind, given column by column.

    Parameters
    ----------
    kind : type
        Its fields are the columns.
    columns : mapping of str to sequence
        Values of each field.
    description : str
        Of the table.
    facts : mapping
        Further fields of its sidecar.
    """
    written = [one for _, one in _list_columns([kind])]
    write_table(path, {one.name: columns[one.name] for one in written})
    _write_words(path, written, description, facts)


def _write_words(
    path: Path,
    columns: Sequence["Field[Any]"],
    description: str,
    facts: Mapping[str, object],
) -> None:
    """Write what the columns of a table mean beside it; nothing lies beside a stream."""
    if is_stream(path):
        return
    words: dict[str, object] = {"Description": description}
    for one in columns:
        if one.metadata["levels"]:
            words[one.name] = {"Levels": one.metadata["levels"]}
        elif one.metadata[WRITTEN]:
            words[one.name] = {"Description": one.metadata[WRITTEN]}
    write_json(path.with_suffix(".json"), words | dict(facts))


def remove_records(path: Path) -> None:
    """Remove a table that :func:`write_records` has written."""
    for one in (path, path.with_suffix(".json")):
        one.unlink(missing_ok=True)


def replace_records(
    path: Path,
    kinds: Sequence[type["DataclassInstance"]],
    rows: Sequence[Sequence["DataclassInstance"]],
    *,
    description: str,
) -> None:
    """Write a table as :func:`write_records` does; without rows, remove what is there."""
    if rows:
        write_records(path, kinds, rows, description=description)
    else:
        remove_records(path)


def to_sidecar(*records: "DataclassInstance") -> dict[str, Any]:
    """Give what a sidecar holds of records, by key, in the order of their fields.

    A record with columns gives those alone, another one all its fields. None stands in the
    sidecar, except that of a column or of an :data:`OPTIONAL` field.
    """
    content = {}
    for record in records:
        for one in _list_written(type(record)) or fields(record):
            value = _to_plain(getattr(record, one.name))
            if value is not None or "optional" not in one.metadata:
                content[_key_of(one)] = value
    return content


def from_sidecar(kind: type[Record], content: Facts, **further: object) -> Record:
    """Read a record back from a sidecar; what is of another kind counts as not known.

    ``further`` are its other fields.
    """
    read: dict[type, Callable[[str], Any]] = {
        float: content.number,
        int: content.count,
        str: content.text,
        bool: lambda key: content.plain.get(key) is True,
        tuple: lambda key: tuple(content.texts(key)),
    }
    return kind(**{name: read[type_](key) for name, key, type_ in _list_keys(kind)}, **further)


def keys_of(kind: type["DataclassInstance"]) -> Any:
    """Give the sidecar keys of a record's fields, each as an attribute of the field's name.

    ``keys_of(Record).mean_fd`` is ``"MeanFD"``; a name that is no field is an AttributeError.
    """
    return types.SimpleNamespace(**{one.name: _key_of(one) for one in fields(kind)})


def from_columns(kind: type[Record], columns: Mapping[str, Any]) -> list[Record]:
    """Read the records of a table back; what is not known is None or '', where a field may be.

    Raises
    ------
    InputError
        If a cell is no number where a field is one, such as an infinite count.
    """
    kinds = {name: type_ for name, _, type_ in _list_keys(kind)}
    plain = [np.asarray(columns[name]).tolist() for name in kinds]
    unknown: dict[str, str | None] = dict.fromkeys(_list_optional(kind))
    unknown |= {name: "" for name, type_ in kinds.items() if type_ is str and name not in unknown}
    return [
        kind(**{
            name: unknown[name]
            if name in unknown and _is_unknown(value)
            else _read_cell(name, kinds[name], value)
            for name, value in zip(kinds, row, strict=True)
        })
        for row in zip(*plain, strict=True)
    ]  # fmt: skip


def name_columns(kind: type["DataclassInstance"]) -> tuple[list[str], list[str]]:
    """Name the columns of numbers and those of texts that a table of these records has."""
    kinds = {name: type_ for name, _, type_ in _list_keys(kind)}
    texts = [name for name, type_ in kinds.items() if type_ is str]
    return [name for name in kinds if name not in texts], texts


def _read_cell(name: str, kind: type, value: Any) -> Any:
    try:
        return kind(value)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"expected {'a count' if kind is int else 'a number'} in the column {name} of a table "
            f"of results; found {value}. The table is damaged: run the group level again with "
            "--force."
        ) from error


def _is_unknown(value: Any) -> bool:
    """Whether a cell of a table says that nothing is known."""
    return value in {"nan", "n/a"} if isinstance(value, str) else bool(value != value)  # noqa: PLR0124


@cache
def _list_written(kind: type["DataclassInstance"]) -> tuple["Field[Any]", ...]:
    return tuple(one for one in fields(kind) if WRITTEN in one.metadata)


@cache
def _list_optional(kind: type["DataclassInstance"]) -> frozenset[str]:
    """Fields that may be None."""
    hints = get_type_hints(kind)
    return frozenset(name for name, hint in hints.items() if types.NoneType in get_args(hint))


@cache
def _list_keys(kind: type["DataclassInstance"]) -> tuple[tuple[str, str, type], ...]:
    """Name, key and type of each column; looking types up anew would cost more than reading."""
    hints = get_type_hints(kind)
    return tuple((one.name, _key_of(one), _kind_of(hints, one)) for one in _list_written(kind))


def _list_columns(kinds: Sequence[type["DataclassInstance"]]) -> list[tuple[int, "Field[Any]"]]:
    """Columns of a table, each with the place of its record in a row."""
    found = [(k, one) for k, kind in enumerate(kinds) for one in _list_written(kind)]
    shown = [(k, one) for k, one in found if one.metadata["in_table"]]
    return sorted(shown, key=lambda pair: pair[1].metadata["at_end"])


def _to_plain(value: Any) -> Any:
    """Give records in a tuple as what a sidecar holds of them, other values as they are."""
    if not isinstance(value, tuple):
        return value
    return [to_sidecar(one) if hasattr(one, "__dataclass_fields__") else one for one in value]


def _key_of(one: "Field[Any]") -> str:
    key = one.metadata.get("key")
    return to_key(one.name) if key is None else str(key)


def _kind_of(hints: Mapping[str, Any], one: "Field[Any]") -> type:
    """Type of a field's values where they are known."""
    hint = hints[one.name]
    known = [a for a in get_args(hint) if a is not types.NoneType]
    if tuple in {get_origin(hint), *map(get_origin, known)}:
        return tuple
    return known[0] if known else hint  # type: ignore[no-any-return]

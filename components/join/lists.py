"""The lists of a quarter of an hour become rows as a pipeline's spec names them.

A column's value is, in this order: what the policy logged, the total of the row's outcomes of that name, the candidate's,
the context's. Labels and columns of KPIs are 0 without an outcome; `time` and the unit come from the exposure when the
client sent none; anything else is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from components.exposures.reading import RowGroup
from components.join.finding import PLACES, PLACES_PIECE, TOTALS, TOTALS_PIECE
from components.join.pieces import column, gathered
from components.join.shredding import Piece
from pipelines.spec import ColumnType, Policy, Spec

WIDE = (
    *("decision_id", "time", "unit_id", "policy_id", "exploration", "temperature", "epsilon", "candidate_ids"),
    *("propensities", "floors", "normalisers", "context", "candidates"),
)
_TYPES: Mapping[ColumnType, pa.DataType] = {
    ColumnType.INT: pa.int64(),
    ColumnType.FLOAT: pa.float64(),
    ColumnType.STRING: pa.string(),
    ColumnType.BOOL: pa.bool_(),
    ColumnType.INTS: pa.list_(pa.int64()),
    ColumnType.FLOATS: pa.list_(pa.float64()),
    ColumnType.STRINGS: pa.list_(pa.string()),
    ColumnType.IMAGE: pa.string(),
}
_ELEMENTS = {
    ColumnType.INTS: ColumnType.INT,
    ColumnType.FLOATS: ColumnType.FLOAT,
    ColumnType.STRINGS: ColumnType.STRING,
}
Columns = dict[str, list[Any]]


class Shape(NamedTuple):
    """Of a pipeline's rows."""

    columns: dict[str, ColumnType]
    policy: Policy
    unit: str
    outcomes: tuple[str, ...]
    """Label, and what KPIs sum."""

    @classmethod
    def of(cls, spec: Spec, policy: Policy) -> Shape:
        named = {name for kpi in spec.kpis for name in (kpi.numerator, kpi.denominator) if name}
        unit = spec.rollout.unit if spec.rollout else spec.data.split_key
        return cls(dict(spec.data.columns), policy, unit, tuple(sorted(named | {spec.data.label})))

    @property
    def rows(self) -> pa.Schema:
        extra = {"impression_id": pa.int64(), "policy": pa.string(), "normaliser": pa.float64()}
        known = {name: _TYPES[kind] for name, kind in self.columns.items()}
        return pa.schema(known | {name: kind for name, kind in extra.items() if name not in known})

    @property
    def lists(self) -> pa.Schema:
        return pa.schema(
            {
                self.policy.decision: self._type(self.policy.decision),
                self.unit: self._type(self.unit),
                self.policy.candidates: pa.list_(self._type(self.policy.item)),
                "policy": pa.string(),
                "exploration": pa.string(),
                "temperature": pa.float64(),
                "epsilon": pa.float64(),
                "fallback": pa.bool_(),
            }
        )

    def items(self, found: Mapping[str, Mapping[str, Any]]) -> pa.Table:
        """The columns of the rows that candidates brought with them, by item."""
        mine = self.policy.row_columns
        given = {name for item in found.values() for name in item} - set(mine) - set(self.outcomes)
        names = [name for name in self.columns if name in given]
        ids = sorted(found)
        arrays = {self.policy.item: self.typed(self.policy.item, ids)}
        return pa.table(arrays | {name: self.typed(name, [found[one].get(name) for one in ids]) for name in names})

    def typed(self, name: str, values: Sequence[Any]) -> pa.Array:
        kind = self.columns.get(name, ColumnType.STRING)
        identity = name in (self.policy.decision, self.policy.item)
        if not (identity and kind is ColumnType.INT) and _are_all(values, kind):
            with contextlib.suppress(pa.ArrowInvalid, OverflowError):  # a number is too large
                return pa.array(values, _TYPES[kind])
        return pa.array([_value(value, kind, identity=identity) for value in values], _TYPES[kind])

    def _type(self, name: str) -> pa.DataType:
        return _TYPES[self.columns.get(name, ColumnType.STRING)]


@dataclass
class Span:
    """A quarter of an hour: rows and lists by time and id, and the items as they were last."""

    rows: pa.Table
    lists: pa.Table
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: int = 0
    """Lists whose candidates or context cannot be read."""


def build_span(pieces: Sequence[Piece], groups: Sequence[RowGroup], shape: Shape) -> Span:
    totals: dict[tuple[str, str], dict[str, float]] = {}
    for row in gathered([piece for kind, piece in pieces if kind == TOTALS_PIECE], TOTALS).to_pylist():
        totals.setdefault((row["decision_id"], row["item_id"]), {})[row["name"]] = row["value"]
    places = gathered([piece for kind, piece in pieces if kind == PLACES_PIECE], PLACES)
    builder = _Builder(shape, totals)
    for exposure in _exposures(places, groups):
        builder.add(exposure)
    return builder.span


def _exposures(places: pa.Table, groups: Sequence[RowGroup]) -> Iterator[dict[str, Any]]:
    numbers, rows = column(places, "group"), column(places, "row")
    tables = [
        groups[number].read(WIDE).take(pa.array(np.sort(rows[numbers == number]))) for number in np.unique(numbers)
    ]
    whole = pa.concat_tables(tables).sort_by([("time", "ascending"), ("decision_id", "ascending")])
    for batch in whole.to_batches(max_chunksize=256):
        yield from batch.to_pylist()


class _Builder:
    def __init__(self, shape: Shape, totals: Mapping[tuple[str, str], Mapping[str, float]]) -> None:
        self._shape, self._totals = shape, totals
        self._rows: Columns = {name: [] for name in shape.rows.names}
        self._lists: Columns = {name: [] for name in shape.lists.names}
        self._items: dict[str, dict[str, Any]] = {}
        self._known: dict[bytes, dict[str, Any]] = {}
        self._left_out = 0
        self._candidates = msgspec.json.Decoder(list[msgspec.Raw])
        self._object = msgspec.json.Decoder(dict[str, Any])

    @property
    def span(self) -> Span:
        shape = self._shape
        rows = {name: self._array(name, values, shape.rows) for name, values in self._rows.items()}
        lists = {name: self._array(name, values, shape.lists) for name, values in self._lists.items()}
        return Span(pa.table(rows), pa.table(lists), self._items, self._left_out)

    def add(self, exposure: dict[str, Any]) -> None:
        ids = exposure["candidate_ids"]
        try:
            context = self._object.decode(exposure["context"])
            items = [self._item(bytes(raw)) for raw in self._candidates.decode(exposure["candidates"])]
        except msgspec.MsgspecError:
            items, context = [], {}
        if not ids or len(items) != len(ids) or len(exposure["propensities"]) > len(ids):
            self._left_out += 1
            return
        self._items.update(zip(ids, items, strict=True))
        self._add_list(exposure)
        given = {"time": exposure["time"] // 1_000_000, self._shape.unit: exposure["unit_id"], **context}
        for place in range(len(exposure["propensities"])):
            self._add_row(exposure, place, given, items[place])

    def _item(self, raw: bytes) -> dict[str, Any]:
        """The same object for the same text: a catalogue repeats itself in every list."""
        if raw not in self._known:
            self._known[raw] = self._object.decode(raw)
        return self._known[raw]

    def _add_list(self, exposure: dict[str, Any]) -> None:
        policy = self._shape.policy
        values = {
            policy.decision: exposure["decision_id"],
            self._shape.unit: exposure["unit_id"],
            policy.candidates: exposure["candidate_ids"],
            "policy": exposure["policy_id"],
            "exploration": exposure["exploration"],
            "temperature": exposure["temperature"],
            "epsilon": exposure["epsilon"],
            "fallback": False,
        }
        for name, column_values in self._lists.items():
            column_values.append(values[name])

    def _add_row(self, exposure: dict[str, Any], place: int, given: Mapping[str, Any], item: Mapping[str, Any]) -> None:
        decision, policy = exposure["decision_id"], self._shape.policy
        item_id = exposure["candidate_ids"][place]
        logged = {
            policy.decision: decision,
            policy.item: item_id,
            policy.position: place,
            policy.propensity: exposure["propensities"][place],
            policy.floor: _at(exposure["floors"], place),
            "impression_id": f"{decision}:{place}",
            "policy": exposure["policy_id"],
            "normaliser": _at(exposure["normalisers"], place),
        }
        totals = self._totals.get((decision, item_id), {})
        for name, values in self._rows.items():
            if name in logged:
                values.append(logged[name])
            elif name in totals:
                values.append(totals[name])
            elif name in item:
                values.append(item[name])
            else:
                values.append(given.get(name, 0 if name in self._shape.outcomes else None))

    def _array(self, name: str, values: list[Any], schema: pa.Schema) -> pa.Array:
        policy, shape = self._shape.policy, self._shape
        if name == policy.candidates and name not in shape.columns:
            flat = shape.typed(policy.item, [one for ids in values for one in ids])
            offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in values])]).astype(np.int32)
            return pa.ListArray.from_arrays(offsets, flat)
        if name == "impression_id":
            return pa.array([_value(value, ColumnType.INT, identity=True) for value in values], schema.field(name).type)
        if name in shape.columns or name in policy.row_columns:
            return shape.typed(name, values)
        return pa.array(values, schema.field(name).type)


def _at(values: Sequence[float], place: int) -> float | None:
    return values[place] if place < len(values) else None


_PLAIN: Mapping[ColumnType, set[type]] = {
    ColumnType.INT: {int, type(None)},
    ColumnType.FLOAT: {float, int, type(None)},
    ColumnType.BOOL: {bool, type(None)},
    ColumnType.STRING: {str, type(None)},
    ColumnType.IMAGE: {str, type(None)},
}


def _are_all(values: Sequence[Any], kind: ColumnType) -> bool:
    """Whether Arrow can be asked: it cuts 1.5 to 1, and a text to its letters where a list should be."""
    types = set(map(type, values))
    if kind in _ELEMENTS:
        elements = chain.from_iterable(value for value in values if value)
        return types <= {list, type(None)} and set(map(type, elements)) <= _PLAIN[_ELEMENTS[kind]]
    return types <= _PLAIN[kind]


def _value(value: Any, kind: ColumnType, *, identity: bool = False) -> Any:
    """None for what is of another type: whether a row may lack it is the contract's to say."""
    if kind in _ELEMENTS:
        return [_value(one, _ELEMENTS[kind]) for one in value] if isinstance(value, list) else None
    match kind:
        case ColumnType.INT if identity:
            return _number(value)
        case ColumnType.INT:
            whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            return int(value) if whole and abs(value) < 2**63 else None
        case ColumnType.FLOAT:
            return float(value) if isinstance(value, int | float) and abs(value) < 2**1023 else None
        case ColumnType.BOOL:
            return bool(value) if isinstance(value, int | float) else None
        case _:
            return str(value) if isinstance(value, str | int) else None


@lru_cache(maxsize=4096)
def _number(text: object) -> int:
    """An id as a number: itself, or 63 bits of its digest. Of a million ids two are the same with a chance of 5e-8."""
    digits = str(text)
    if digits.isascii() and digits.isdigit() and len(digits) <= 18:
        return int(digits)
    return int.from_bytes(hashlib.blake2b(digits.encode(), digest_size=8).digest(), "big") >> 1

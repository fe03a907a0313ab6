"""The bounds of `robot.toml`: what each key may be, and the check that a face keeps to them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from eva_sim.errors import known_names


class NumberBounds(NamedTuple):
    """Range, unit and type of one number in `robot.toml`.

    Attributes:
        lowest: smallest value.
        highest: greatest value.
        unit: of the value, in words.
        type: float for any number, int for a whole one.
    """

    lowest: float
    highest: float
    unit: str
    type: type[float] | type[int] = float

    def allows(self, value: object) -> bool:
        """Whether it is a number of this type within the bounds."""
        number = isinstance(value, int) or (isinstance(value, float) and self.type is float)
        return number and not isinstance(value, bool) and self.lowest <= value <= self.highest  # type: ignore[operator]

    def __str__(self) -> str:
        number = "a whole number" if self.type is int else "a number"
        return f"{number} from {self.lowest:g} to {self.highest:g} {self.unit}"


#: Every key that is a number, by its section. Bounds leave room for other servos and heads; beyond them is a
#: mistaken unit, or a promise of docs/safety.md that no longer holds.
BOUNDS: Mapping[str, Mapping[str, NumberBounds]] = {
    "wire": {
        "baud": NumberBounds(9600, 4_000_000, "bit/s", int),
        "period": NumberBounds(0.005, 0.04, "s"),  # digital servos; the slowest that a PCA9685 has is 0.042
    },
    "pulse": {
        "narrowest": NumberBounds(300, 1500, "us"),
        "widest": NumberBounds(1500, 2700, "us"),
        "margin": NumberBounds(0, 300, "us"),
    },
    "safety": {
        "hold_after": NumberBounds(0.05, 1, "s"),
        "limp_after": NumberBounds(0.1, 3, "s"),  # servos that are driven longer for nobody get hot
        "held_for": NumberBounds(0.1, 120, "s"),
        "watchdog": NumberBounds(0.015, 1, "s"),
        "supply_low": NumberBounds(3, 30, "V"),
        "supply_high": NumberBounds(3, 30, "V"),
        "supply_for": NumberBounds(0.005, 1, "s"),
        "supply_recovery": NumberBounds(1, 1000, "(times as long)", int),
        "arm_speed": NumberBounds(0.01, 2, "travels/s"),
        "arm_gap": NumberBounds(0.01, 2, "s"),
        "too_hot": NumberBounds(40, 80, "degrees Celsius"),  # bus servos switch themselves off at about 80
        "stall_load": NumberBounds(0.02, 1, "(share of stall torque)"),
        "torque_limit": NumberBounds(0.05, 1, "(share of stall torque)"),
        "stall_for": NumberBounds(0.1, 10, "s"),  # a stalled small servo warms by 2 degrees a second
        "ease": NumberBounds(0.01, 10, "s"),
        "pause_first": NumberBounds(0.1, 600, "s"),
        "pause_most": NumberBounds(0.1, 3600, "s"),
        "forget_after": NumberBounds(1, 86_400, "s"),
    },
    "ratings": {
        "cable_overload": NumberBounds(1, 3, "(times its own tension)"),
        "patch_pressure": NumberBounds(1e3, 100e3, "Pa"),  # glue on silicone peels at the highest
        "skin_stretch": NumberBounds(1, 9, "(times its length)"),  # soft silicone tears at the highest
        "rest_tension": NumberBounds(0.01, 10, "N"),
    },
    "neck": {
        "lean": NumberBounds(1, 60, "degrees"),
        "turn": NumberBounds(1, 90, "degrees"),
        "shift": NumberBounds(0.001, 0.1, "m"),
        "height": NumberBounds(0.001, 0.1, "m"),
    },
    "reversals": {
        "smallest": NumberBounds(0.001, 0.2, "(share of travel)"),
        "reserve": NumberBounds(1, 200, "reversals"),
        "per_second": NumberBounds(0.05, 5, "1/s"),  # 17 a second are a third of the heat of a stall
        "least": NumberBounds(0.01, 1, "reversals"),
    },
    "heat": {
        "ambient": NumberBounds(0, 50, "degrees Celsius"),
        "rise": NumberBounds(50, 2000, "K"),
        "time_constant": NumberBounds(5, 3600, "s"),
        "turn_time": NumberBounds(0.001, 0.2, "s"),
        "slow_from": NumberBounds(30, 80, "degrees Celsius"),
    },
}
#: Numbers in tables whose keys are kinds or names of actuators.
PULSE = NumberBounds(300, 2700, "us")
BY_KIND = {
    "stall_torque": NumberBounds(0.01, 1000, "N m (N for legs)"),
    "holding": NumberBounds(0, 1, "(share of stall torque)"),
}
TENSION = NumberBounds(0, 500, "N")
LIMIT = NumberBounds(1, 2, "(sum of two shares of travel)")
WEIGHT = NumberBounds(0.01, 1, "(weight of a share of travel)")
#: Sections that a face may lack; then its body has no such limit.
OPTIONAL = ("neck", "reversals", "heat", "exclusions", "overloads", "tension")
#: Pairs of keys of which the first is below the second.
BELOW = (
    ("wire.period", "safety.hold_after"),
    ("safety.hold_after", "safety.limp_after"),
    ("safety.watchdog", "safety.limp_after"),
    ("safety.supply_low", "safety.supply_high"),
    ("safety.stall_load", "safety.torque_limit"),  # a servo never exerts more, so no stall would be seen
    ("safety.pause_first", "safety.pause_most"),
    ("heat.ambient", "heat.slow_from"),
    ("heat.slow_from", "safety.too_hot"),
)


def find_mistakes(table: Mapping[str, Any], kinds: Collection[str]) -> Iterator[str]:
    """Says what is wrong with a `robot.toml`, one mistake at a time.

    What follows a mistake may rest on it, so only the first is certain; none means that all is right.

    Args:
        table: the file, parsed.
        kinds: kinds of the face's actuators.
    """
    sections = (*BOUNDS, *OPTIONAL)
    yield from _misspelt("the file", table, sections)
    for name in dict.fromkeys(sections):
        kept = list if name in ("exclusions", "overloads") else dict
        if name not in table and name not in OPTIONAL:
            yield f"[{name}] is missing"
        elif not isinstance(table.get(name, kept()), kept):
            yield f"{name} = {table[name]!r} is no {'list of tables' if kept is list else 'section'}"
    for name, bounds in BOUNDS.items():
        if name in table:
            beside = {"pulse": _kinds_of_pulse(table), "safety": ("arm_groups",), "heat": tuple(BY_KIND)}
            yield from _numbers(f"[{name}]", table[name], bounds, bounds, beside.get(name, ()))
    yield from _relations(table)
    yield from _pulses(table["pulse"], kinds)
    yield from _arm_groups(table["safety"].get("arm_groups"), kinds)
    if "heat" in table:
        for name, each in BY_KIND.items():
            needed = kinds if name == "holding" else {"cable"} & set(kinds)
            yield from _each(f"[heat.{name}]", table["heat"].get(name), each, needed)
    for name, pulls in table.get("tension", {}).items():
        yield from _each(f"[tension], {name}", pulls, TENSION)
    yield from _rules(table)


def _misspelt(where: str, table: Mapping[str, Any], known: Iterable[str]) -> Iterator[str]:
    """A key that nobody reads is a limit that nobody keeps."""
    names = list(dict.fromkeys(known))
    for key in table:
        if key not in names:
            yield f"{where} has no {key!r}; {known_names(key, names)}"


def _numbers(
    where: str,
    table: Mapping[str, Any],
    bounds: Mapping[str, NumberBounds],
    needed: Iterable[str],
    beside: Iterable[str] = (),
) -> Iterator[str]:
    yield from _misspelt(where, table, (*bounds, *beside))
    for key in needed:
        if key not in table:
            yield f"{where}: {key} is missing; it is {bounds[key]}"
    for key, allowed in bounds.items():
        if key in table and not allowed.allows(table[key]):
            yield f"{where}: {key} = {table[key]!r} is not {allowed}"


def _each(where: str, table: Any, allowed: NumberBounds, needed: Collection[str] = ()) -> Iterator[str]:
    """Checks a table whose keys are kinds or names, all with the same bounds."""
    if not isinstance(table, dict):
        yield f"{where} is no table of numbers, each {allowed}"
        return
    yield from _numbers(where, table, dict.fromkeys((*table, *needed), allowed), needed)


def _relations(table: Mapping[str, Any]) -> Iterator[str]:
    for names in BELOW:
        (section, key), (other_section, other) = (name.split(".") for name in names)
        if section in table and table[section][key] >= table[other_section][other]:
            yield (
                f"[{section}]: {key} = {table[section][key]!r} is not below {other} = "
                f"{table[other_section][other]!r} of [{other_section}]"
            )


def _kinds_of_pulse(table: Mapping[str, Any]) -> list[str]:
    return [kind for kind in table["pulse"] if kind not in BOUNDS["pulse"]]


def _pulses(pulse: Mapping[str, Any], kinds: Collection[str]) -> Iterator[str]:
    """Checks the ends of the pulses of each kind, which may not leave `narrowest` and `widest`."""
    for kind in dict.fromkeys((*kinds, *_kinds_of_pulse({"pulse": pulse}))):
        if kind not in pulse:
            yield f"[pulse]: {kind} is missing; it is a list of two ends, each {PULSE}"
            continue
        ends = pulse[kind]
        if not isinstance(ends, list) or len(ends) != 2 or not all(map(PULSE.allows, ends)):
            yield f"[pulse]: {kind} = {ends!r} is not a list of two ends, each {PULSE}"
        elif not pulse["narrowest"] <= ends[0] < ends[1] <= pulse["widest"]:
            yield (
                f"[pulse]: {kind} = {ends!r} does not ascend within narrowest and widest, "
                f"{pulse['narrowest']!r} and {pulse['widest']!r} us"
            )


def _arm_groups(groups: Any, kinds: Collection[str]) -> Iterator[str]:
    """Checks that each kind is armed once."""
    if not isinstance(groups, list) or not all(_is_names(group) for group in groups):
        yield f"[safety]: arm_groups = {groups!r} is not a list of lists of kinds"
        return
    named = [kind for group in groups for kind in group]
    for kind in dict.fromkeys((*kinds, *named)):
        if named.count(kind) != 1:
            yield f"[safety]: arm_groups names {kind!r} {named.count(kind)} times, not once"


def _rules(table: Mapping[str, Any]) -> Iterator[str]:
    """Checks exclusions and overloads, but for the names of actuators."""
    for row in table.get("exclusions", ()):
        if not isinstance(row, dict) or not _is_names(row.get("pair")) or len({*row["pair"]}) != 2:
            yield f"[[exclusions]]: {row!r} has no pair of two actuators"
        else:
            yield from _numbers(f"[[exclusions]], {row['pair']}", row, {"limit": LIMIT}, ["limit"], ["pair"])
    for row in table.get("overloads", ()):
        if not isinstance(row, dict) or not isinstance(row.get("protects"), str):
            yield f"[[overloads]]: {row!r} does not say what it protects"
            continue
        where = f"[[overloads]], {row['protects']}"
        yield from _misspelt(where, row, ("protects", "weights"))
        yield from _each(f"{where}, weights", row.get("weights"), WEIGHT)
        if len(row["weights"]) < 2:
            yield f"{where}: {row['weights']!r} is fewer than two actuators"


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)

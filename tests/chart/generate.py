#!/usr/bin/env python3
"""Writes what the chart repeats from elsewhere: the table of values in its README, the descriptions in its schema, and
its copies of nginx/. With --check it writes nothing and fails when something differs.

Copies, because a chart has to be whole where it is unpacked: symbolic links out of it are dropped or refused by the tools
that deploy from git.
"""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm"
COPIED = sorted(path.name for path in (ROOT / "nginx").glob("*.conf"))
BEGIN, END = "<!-- made by tests/chart/generate.py from values.yaml -->\n", "<!-- end -->\n"


@dataclass(frozen=True)
class Row:
    """One value: its path, its default, and the comment above it."""

    key: str
    default: object
    text: str


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = [path for path, wanted in outputs().items() if not path.exists() or path.read_text() != wanted]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'differs, run tests/chart/generate.py' if check else 'written'}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(outputs()[path])
    return 1 if check and stale else 0


def outputs() -> dict[Path, str]:
    """Every file that is made, whole or in part, with the text it should have."""
    values = rows((CHART / "values.yaml").read_text())
    made = {CHART / "files/nginx" / name: (ROOT / "nginx" / name).read_text() for name in COPIED}
    made[CHART / "README.md"] = with_table((CHART / "README.md").read_text(), values)
    made[CHART / "values.schema.json"] = with_descriptions((CHART / "values.schema.json").read_text(), values)
    return made


def rows(text: str) -> list[Row]:
    """The values of values.yaml: each key that has a comment directly above it is one, with all that is below it."""
    defaults, found, parents, comment = yaml.safe_load(text), [], [], []
    for line in text.splitlines():
        key = re.match(r"( *)([A-Za-z][A-Za-z0-9]*):", line)
        if line.strip().startswith("#"):
            comment.append(line.strip()[1:].strip())
            continue
        if key and not (found and inside(found[-1], parents, len(key[1]))):
            del parents[len(key[1]) // 2 :]
            parents.append(key[2])
            if comment:
                found.append(Row(".".join(parents), at(defaults, parents), " ".join(comment)))
        comment = []
    return found


def inside(row: Row, parents: list[str], indent: int) -> bool:
    """Whether a line so far to the right belongs to the value found last."""
    return row.key == ".".join(parents) and indent // 2 >= len(parents)


def at(defaults: dict, path: list[str]) -> object:
    for part in path:
        defaults = defaults[part]
    return defaults


def with_table(readme: str, values: list[Row]) -> str:
    before, rest = readme.split(BEGIN)
    lines = ["| value | default | what it is |\n", "|---|---|---|\n"]
    lines += [f"| `{row.key}` | `{json.dumps(row.default)}` | {escaped(row.text)} |\n" for row in values]
    return before + BEGIN + "".join(lines) + END + rest.split(END)[1]


def escaped(text: str) -> str:
    return text.replace("|", "\\|")


def with_descriptions(schema: str, values: list[Row]) -> str:
    document = json.loads(schema)
    for row in values:
        node = document
        for part in row.key.split("."):
            node = node["properties"][part]
        node["description"] = row.text
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())

"""On which line of a TOML text each key and each element of a list stands."""

import re

Path = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]\}\n#]+")
_QUOTES = ('"""', "'''", '"', "'")


def line_numbers(text: str) -> dict[Path, int]:
    r"""Find the line of every key path of a text that is known to be valid TOML.

    Parameters
    ----------
    text
        What `tomllib` reads without an error.

    Returns
    -------
    dict
        Path of keys and list places → line, from 1.

    Examples
    --------
    >>> line_numbers('seeds = [\n 1,\n 2]\n[rules.fa]\\nlr = 0.1')[("seeds", 1)]
    3
    """
    return _Scanner(text).scan()


def closest_line(lines: dict[Path, int], path: Path) -> int:
    """Give the line of a path, else of the longest part of it that is in the text, else 1."""
    for end in range(len(path), 0, -1):
        if path[:end] in lines:
            return lines[path[:end]]
    return 1


class _Scanner:
    """Walk through the text; what it means is `tomllib`'s business, only places count."""

    def __init__(self, text: str):
        self.text = text
        self.place = 0
        self.found: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        while self._skip(" \t\r\n"):
            line = self._line()
            if self.text[self.place] == "[":
                double = self.text.startswith("[[", self.place)
                self.place += 2 if double else 1
                table = self._keys()
                if double:
                    count = sum(1 for path in self.found if path[:-1] == table and isinstance(path[-1], int))
                    self._note(table, line)
                    table = (*table, count)
                self._note(table, line)
                self.place += 2 if double else 1
            else:
                self._assignment(table)
        return self.found

    def _assignment(self, table: Path) -> None:
        line = self._line()
        path = table + self._keys()
        self.place += 1  # the equals sign
        for end in range(len(table) + 1, len(path) + 1):
            self._note(path[:end], line)
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip(" \t")
        opening = self.text[self.place]
        if opening == "[":
            self._list(path)
        elif opening == "{":
            self._inline_table(path)
        elif opening in "\"'":
            self._string()
        else:
            scalar = _SCALAR.match(self.text, self.place)
            self.place = scalar.end() if scalar else self.place + 1

    def _list(self, path: Path) -> None:
        self.place += 1
        count = 0
        while self._skip(" \t\r\n,") and self.text[self.place] != "]":
            self._note((*path, count), self._line())
            self._value((*path, count))
            count += 1
        self.place += 1

    def _inline_table(self, path: Path) -> None:
        self.place += 1
        while self._skip(" \t\r\n,") and self.text[self.place] != "}":
            self._assignment(path)
        self.place += 1

    def _keys(self) -> Path:
        """Read ``a.b."c d"``, and stop at what follows."""
        keys: list[str] = []
        while self._skip(" \t."):
            if self.text[self.place] in "\"'":
                keys.append(self._string())
            elif bare := _BARE.match(self.text, self.place):
                keys.append(bare.group())
                self.place = bare.end()
            else:
                break
        return tuple(keys)

    def _string(self) -> str:
        quotes = next(each for each in _QUOTES if self.text.startswith(each, self.place))
        start = self.place = self.place + len(quotes)
        while not self.text.startswith(quotes, self.place):
            self.place += 2 if quotes[0] == '"' and self.text[self.place] == "\\" else 1
        while len(quotes) == 3 and self.text.startswith(quotes[0], self.place + 3):
            self.place += 1  # quotes that belong to the text
        content = self.text[start : self.place]
        self.place += len(quotes)
        return content

    def _skip(self, characters: str) -> bool:
        """Go past these characters and comments; say whether anything is left."""
        while self.place < len(self.text):
            if self.text[self.place] == "#":
                end = self.text.find("\n", self.place)
                self.place = len(self.text) if end < 0 else end
            elif self.text[self.place] in characters:
                self.place += 1
            else:
                return True
        return False

    def _line(self) -> int:
        return self.text.count("\n", 0, self.place) + 1

    def _note(self, path: Path, line: int) -> None:
        self.found.setdefault(path, line)

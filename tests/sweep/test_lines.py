"""Lines of keys and of list elements, against texts whose lines are counted by eye."""

import tomllib

import pytest

from brainalign.sweep.lines import closest_line, line_numbers

TEXT = '''# a comment
name = "a # no comment"   # one
networks = ["mlp", 'le"net',  # [not, these]
  "convnet",
]
"quoted key" = {inner = [1, 2], other = 3}

a.b.c = """
many
lines \\""" "
"""

[rules."feedback_alignment:scale=0.5"]
lr = 0.1

[[things]]
x = 1
[[things]]
x = [[1],
     [2]]
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("name",), 2),
        (("networks",), 3),
        (("networks", 1), 3),
        (("networks", 2), 4),
        (("quoted key", "inner", 1), 6),
        (("quoted key", "other"), 6),
        (("a", "b", "c"), 8),
        (("rules", "feedback_alignment:scale=0.5"), 13),
        (("rules", "feedback_alignment:scale=0.5", "lr"), 14),
        (("things", 0, "x"), 17),
        (("things", 1, "x", 1), 20),
    ],
)
def test_line_of_each_path(path, line):
    tomllib.loads(TEXT)
    assert line_numbers(TEXT)[path] == line


def test_closest_line_falls_back_to_what_is_there():
    lines = line_numbers("a = 1\n[b]\nc = 2\n")
    assert closest_line(lines, ("b", "missing")) == 2
    assert closest_line(lines, ("missing",)) == 1

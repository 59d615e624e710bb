"""Code in files: edited, imported from elsewhere, or out of reach."""

import sys
import textwrap

import pytest

NET = """
    import torch
    from torch import nn
    {imports}
    GAIN = {gain}

    def helper(x):
        return deeper(x) * GAIN

    def deeper(x):
        return x + {offset}

    class Net(nn.Module):
        def forward(self, x):
            return helper(x){call}
"""


def net(imports="", gain=1.0, offset=0.0, call=""):
    return NET.format(imports=imports, gain=gain, offset=offset, call=call)


@pytest.mark.parametrize("change", [{"gain": 2.0}, {"offset": 1.0}, {"call": " + 1"}])
def test_source_edited_between_processes(files, change, key):
    before = key(files(net_of_mine=net()))
    assert key(files(net_of_mine=net(**change))) not in (None, before)
    assert key(files(net_of_mine=net())) == before


def test_only_what_runs_matters(files, key):
    """Comments, and functions that the network does not call, leave the key as it is."""
    before = key(files(net_of_mine=net()))
    assert (
        key(files(net_of_mine="# a comment\n" + textwrap.dedent(net()) + "def unused(): return 5\n")) == before
    )


def test_source_edited_after_it_was_imported(files, key):
    """The old code still runs, so what it gives must not pass for the new code's."""
    old = key(files(net_of_mine=net()))
    assert key(files(fresh=False, net_of_mine=net(gain=2.0))) == old
    assert key(files(net_of_mine=net(gain=2.0))) != old


def test_global_changed_at_run_time(files, key):
    network = files(net_of_mine=net())
    before = key(network)
    sys.modules["net_of_mine"].GAIN = 3.0
    assert key(network) not in (None, before)


IMPORTS = [
    ("import helper_of_mine", "+ helper_of_mine.act(x)"),
    ("import helper_of_mine as h", "+ h.act(x)"),
    ("from helper_of_mine import act", "+ act(x)"),
    ("from helper_of_mine import act", "+ (lambda y: act(y))(x)"),
    ("from helper_of_mine import act", "+ sum([act(y) for y in x])"),
    ("from helper_of_mine import Inner", "+ Inner()(x)"),
    ("import helper_of_mine", "+ helper_of_mine.Inner()(x)"),
    ("import other_of_mine", "+ other_of_mine.helper_of_mine.act(x)"),
    ("from other_of_mine import indirect", "+ indirect(x)"),
]


HELPER = """
    from torch import nn
    SLOPE = {}
    def act(x):
        return x * SLOPE
    class Inner(nn.Module):
        def forward(self, x):
            return act(x)
"""


OTHER = """
    import helper_of_mine
    def indirect(x):
        return helper_of_mine.act(x)
"""


@pytest.mark.parametrize("imports,call", IMPORTS)
def test_function_of_another_file(files, imports, call, key):
    source = net(imports=imports, call=call)
    keys = [
        key(files(net_of_mine=source, helper_of_mine=HELPER.format(slope), other_of_mine=OTHER))
        for slope in (1.0, 2.0, 1.0)
    ]
    assert None not in keys
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize(
    "line",
    [
        "import helper_of_mine; return helper_of_mine.act(x)",
        "from helper_of_mine import act; return act(x)",
        "from importlib import import_module; return import_module('helper_of_mine').act(x)",
        "return eval('helper_of_mine.act(x)')",
        "return __import__('helper_of_mine').act(x)",
        "import random; return x * random.gauss(0, 1)",
        "import os; return x * float(os.environ.get('GAIN', 1))",
        "import numpy as np; return x * np.random.rand()",
        "return helper_of_mine.SLOPE * getattr(helper_of_mine, 'a' + 'ct')(x)",
        "return helper_of_mine.SLOPE * vars(helper_of_mine)['act'](x)",
        "return helper_of_mine.SLOPE * helper_of_mine.__dict__['act'](x)",
        "return helper_of_mine.lazy(x)",
    ],
)
def test_code_that_reaches_for_what_cannot_be_told(files, line, key):
    source = f"""
        import helper_of_mine
        from torch import nn
        class Net(nn.Module):
            def forward(self, x):
                {line}
    """
    assert key(files(net_of_mine=source, helper_of_mine=HELPER.format(1.0))) is None


def test_code_of_a_parent_class_in_another_file(files, key):
    parent = """
        from torch import nn
        class Parent(nn.Module):
            def forward(self, x):
                return self.act(x) * {}
            def act(self, x):
                return x
    """
    child = """
        from parent_of_mine import Parent
        class Net(Parent):
            pass
    """
    keys = [key(files(net_of_mine=child, parent_of_mine=parent.format(gain))) for gain in (1, 2, 1)]
    assert None not in keys
    assert keys[0] == keys[2] != keys[1]


def test_decorator_of_another_file(files, key):
    decorator = """
        import functools
        def scaled(function):
            @functools.wraps(function)
            def wrapper(self, x):
                return {} * function(self, x)
            return wrapper
    """
    source = """
        from decorator_of_mine import scaled
        from torch import nn
        class Net(nn.Module):
            @scaled
            def forward(self, x):
                return x
    """
    keys = [key(files(net_of_mine=source, decorator_of_mine=decorator.format(gain))) for gain in (1, 2, 1)]
    assert None not in keys
    assert keys[0] == keys[2] != keys[1]


PARTS = """
@property
def gain(self): return {}
def forward(self, x): return x * self.gain
---
@staticmethod
def gain(): return {}
def forward(self, x): return x * self.gain()
---
@classmethod
def gain(cls): return {}
def forward(self, x): return x * self.gain()
---
@functools.cached_property
def gain(self): return {}
def forward(self, x): return x * self.gain
---
gain = functools.partialmethod(lambda self, g: g, {})
def forward(self, x): return x * self.gain()
---
GAINS = [{}]
def forward(self, x): return x * self.GAINS[0]
---
def __getattr__(self, name): return {}
def forward(self, x): return x * self.gain
---
def __call__(self, x): return {} * x
---
def forward(self, x): return (lambda y: y * {})(x)
---
def forward(self, x): return sum(y * {} for y in x)
---
def forward(self, x, gain={}): return x * gain
---
@torch.amp.autocast("cpu", dtype=[torch.bfloat16, torch.float16][{} - 1])
def forward(self, x): return x
---
@torch.no_grad()
def forward(self, x): return x * {}
---
@torch.inference_mode()
def forward(self, x): return x * {}
---
class Inner:
    gain = {}
def forward(self, x): return x * self.Inner.gain
"""


@pytest.mark.parametrize("body", PARTS.split("---"))
def test_every_part_of_a_class(files, body, key, tell_apart):
    source = "import functools, torch\nfrom torch import nn\nclass Net(nn.Module):" + textwrap.indent(
        body, "    "
    )
    keys = [key(files(net_of_mine=source.format(value))) for value in (1, 2, 1)]
    assert keys[0] == keys[2]
    assert tell_apart(*keys[:2])
    assert keys[0] is not None or "autocast" in body


def test_autograd_functions(files, key):
    source = """
        import torch
        from torch import nn
        class Spike(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return (x > {}).float()
            @staticmethod
            def backward(ctx, grad):
                return grad
        class Net(nn.Module):
            def forward(self, x):
                return Spike.apply(x)
    """
    keys = [key(files(net_of_mine=source.format(value))) for value in (1, 2, 1)]
    assert None not in keys
    assert keys[0] == keys[2] != keys[1]


def test_reading_files_while_it_is_built_is_allowed(files, key):
    """What the constructor reads has become weights and attributes."""
    source = """
        import os
        from torch import nn
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                with open(__file__) as file:
                    self.lines = len(file.readlines()) * float(os.environ.get("GAIN", {}))
            def forward(self, x):
                return x * self.lines
    """
    keys = [key(files(net_of_mine=source.format(value))) for value in (1, 2, 1)]
    assert None not in keys
    assert keys[0] == keys[2] != keys[1]

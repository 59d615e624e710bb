"""Texts that tell apart whatever could make two networks answer differently: code, settings, tensors."""

import builtins
import dis
import functools
import inspect
import sys
import types
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import nn

from brainalign.files import content_hash
from brainalign.probing.packages import package_at, package_of

_PLAIN = {
    *(int, float, complex, str, bytes, bool, type(None), type(Ellipsis), range),
    *(torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size),
}
_HEAP_TYPE = 1 << 9
_BOOKKEEPING = {"_abc_impl", "__annotate__", "__annotate_func__", "_autograd_function_id"}
# What code that reaches these does cannot be read off it.
_OPAQUE_GLOBALS = {"eval", "exec", "globals", "open", "__import__"}
_OPAQUE_ATTRIBUTES = {"random", "environ", "getenv", "import_module"}
# Stands for attributes whose names are only known when the code runs.
_ANY = "*"
# Their decorators check a function's types and leave its results alone.
_TYPE_CHECKERS = {"beartype", "jaxtyping", "typeguard"}


class UntoldError(Exception):
    """Something that a network's answers may depend on, and that cannot be told apart by content."""


class Fingerprint:
    """Describes values and code, each by a text that is the same for the same content only.

    Functions and classes are told apart by the code that runs (bytecode, constants, defaults, closures)
    and, in turn, by the globals that it names: a source file may have changed since it was imported, or
    may never have been. Code of installed packages is told apart by its package.

    Parameters
    ----------
    known
        Objects that are described elsewhere, by the text that stands for them.
    """

    def __init__(self, known: Mapping[str, object]):
        self._texts: dict[tuple[int, ...], str] = {(id(value),): text for text, value in known.items()}
        # An id is one object's own only as long as the object lives.
        self._alive: list[object] = list(known.values())
        self._depth = 0

    def describe(self, value: object) -> str:
        """Describe a value.

        Raises
        ------
        UntoldError
            Content that cannot be read.
        """
        if type(value) in _PLAIN:
            return f"{type(value).__name__} {value!r}"
        return self._once((value,), lambda: self._kind(value))

    def _once(self, values: tuple[object, ...], make: Callable[[], str]) -> str:
        place = tuple(map(id, values))
        if place not in self._texts:
            self._alive.append(values)
            self._texts[place] = f"what stands {self._depth} levels down"  # seen only from inside itself
            self._depth += 1
            self._texts[place] = content_hash(make())
            self._depth -= 1
        return self._texts[place]

    def _kind(self, value: object) -> str:
        if isinstance(value, nn.Module):
            raise UntoldError(f"a {type(value).__name__} that is no submodule of the network")
        for kind, describe in _DESCRIBED.items():
            if isinstance(value, kind):
                return describe(self, value)
        # Subclasses may hold more than their items.
        if isinstance(value, list | tuple) and type(value) in (list, tuple):
            return self._join(type(value).__name__, *value)
        if isinstance(value, dict) and type(value) is dict:
            return self._join("dict", *[part for item in value.items() for part in item])
        if isinstance(value, set | frozenset) and type(value) in (set, frozenset):
            return f"set {sorted(map(self.describe, value))}"
        return self._instance(value)

    def _join(self, head: str, *values: object) -> str:
        return f"{head}({', '.join(map(self.describe, values))})"

    def _tensor(self, tensor: torch.Tensor) -> str:
        if type(tensor) not in (torch.Tensor, nn.Parameter) or tensor.layout != torch.strided:
            raise UntoldError(f"a tensor of type {type(tensor).__name__} and layout {tensor.layout}")
        if tensor.is_quantized or tensor.is_meta:
            raise UntoldError("a tensor that is quantised, or has no values")
        values = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
        raw = values.reshape(-1).view(torch.uint8).numpy()
        return self._join(f"{values.dtype} {tuple(values.shape)} {content_hash(raw)}", vars(tensor))

    def _array(self, array: np.ndarray) -> str:
        if type(array) is not np.ndarray or array.dtype.hasobject:
            raise UntoldError(f"an array of type {type(array).__name__} and {array.dtype}")
        return f"array {content_hash(array)}"

    def _instance(self, value: object) -> str:
        """Describe any other object by what a pickle of it would hold; none is made."""
        kind = type(value)
        own = [base for base in kind.__mro__ if not _is_installed(base)]
        if any(name in vars(base) for base in own for name in ("__getstate__", "__reduce__", "__reduce_ex__")):
            raise UntoldError(f"an object of class {kind.__qualname__}, which chooses what a pickle holds")
        try:
            reduced = value.__reduce_ex__(4)
        except Exception as error:  # whatever an object raises that cannot be pickled
            raise UntoldError(f"an object of class {kind.__qualname__}: {error}") from error
        if isinstance(reduced, str):
            raise UntoldError(f"an object of class {kind.__qualname__}, known by its name {reduced!r} only")
        return self._join("object", kind, *[list(p) if isinstance(p, Iterator) else p for p in reduced])

    def _class(self, cls: type) -> str:
        head = f"class {cls.__module__}.{cls.__qualname__}"
        if _is_installed(cls):
            head += f" {package_of(sys.modules[cls.__module__])} {'; '.join(self._replaced(cls))}"
            members = {name: value for name, value in vars(cls).items() if _is_foreign(value)}
        else:
            members = {name: value for name, value in vars(cls).items() if _is_own(name, value)}
            if issubclass(cls, nn.Module) and "__init__" in members:
                # What it reads (files, say) has become attributes and weights, which are described.
                members["__init__"] = inspect.unwrap(members["__init__"]).__code__
        above = cls.__bases__ if type(cls) is type else (type(cls), *cls.__bases__)
        return self._join(head, above, *[part for name in sorted(members) for part in (name, members[name])])

    def _replaced(self, cls: type) -> Iterator[str]:
        """Describe what the ``forward`` of an installed class uses and did not come with its package."""
        forward = vars(cls).get("forward")
        if isinstance(forward, types.FunctionType) and not _is_foreign(forward):
            names, attributes, _ = _names(forward.__code__)
            for name in sorted(names & forward.__globals__.keys()):
                value = forward.__globals__[name]
                if _is_foreign(value) or isinstance(value, types.ModuleType):
                    yield f"{name} {self._used(value, attributes)}"

    def _builtin(self, function: types.BuiltinFunctionType) -> str:
        owner = None if function.__self__ is builtins else function.__self__
        if owner is None and function.__module__ and package_of(sys.modules.get(function.__module__)) is None:
            raise UntoldError(f"the compiled function {function.__qualname__}")
        return self._join(f"builtin {function.__module__}.{function.__qualname__}", owner)

    def _code(self, code: types.CodeType) -> str:
        arguments = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        return self._join("code", code.co_code, code.co_exceptiontable, arguments, names, code.co_consts)

    def _function(self, function: types.FunctionType) -> str:
        package = package_at(function.__code__.co_filename)
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None and package is not None and package.split()[0] in _TYPE_CHECKERS:
            return self.describe(wrapped)
        filled = [cell for cell in function.__closure__ or () if cell != types.CellType()]
        closure = [cell.cell_contents for cell in filled]
        settings = (function.__defaults__, function.__kwdefaults__, vars(function))
        used = "" if package else "; ".join(self._globals(function))
        head = f"function {function.__module__}.{function.__qualname__} {package} {used}"
        return self._join(head, function.__code__, *settings, *closure)

    def _globals(self, function: types.FunctionType) -> Iterator[str]:
        """Describe the globals that a function's code names, and the packages that it imports."""
        known = function.__globals__
        names, attributes, imported = _names(function.__code__)
        builtin = names - known.keys()
        if attributes & _OPAQUE_ATTRIBUTES or builtin & _OPAQUE_GLOBALS:
            raise UntoldError(f"what the function {function.__qualname__} reads while it runs")
        if "__dict__" in attributes or builtin & {"getattr", "vars"}:
            attributes |= {_ANY}
        for name in sorted(names & known.keys()):
            yield f"{name} {self._used(known[name], attributes)}"
        for name in sorted(imported):
            module = sys.modules.get(name)
            if package_of(module) is None:
                raise UntoldError(f"the module {name!r} that the function {function.__qualname__} imports")
            yield self._used(module, attributes)

    def _used(self, value: object, attributes: frozenset[str]) -> str:
        """Describe a global; of a module, the members that the code may use."""
        if not isinstance(value, types.ModuleType):
            return self.describe(value)
        return self._once((value, attributes), lambda: self._module(value, attributes))

    def _module(self, module: types.ModuleType, attributes: frozenset[str] = frozenset()) -> str:
        package = package_of(module)
        found = {name: vars(module)[name] for name in sorted(attributes & vars(module).keys())}
        unclear = not found or _ANY in attributes or "__getattr__" in vars(module)
        if module.__name__ == "random" or (package is None and unclear):
            raise UntoldError(f"the module {module.__name__}")
        kept = {name: value for name, value in found.items() if package is None or _is_foreign(value)}
        texts = [f"{name} {self._used(value, attributes)}" for name, value in kept.items()]
        return f"module {module.__name__} {package} {'; '.join(texts)}"


_DESCRIBED: dict[type, Callable] = {
    torch.Tensor: Fingerprint._tensor,
    np.ndarray: Fingerprint._array,
    type: Fingerprint._class,
    types.FunctionType: Fingerprint._function,
    types.CodeType: Fingerprint._code,
    types.BuiltinFunctionType: Fingerprint._builtin,
    types.ModuleType: Fingerprint._module,
    types.MethodType: lambda self, value: self._join("method", value.__func__, value.__self__),
    property: lambda self, value: self._join("property", value.fget),
    functools.cached_property: lambda self, value: self._join("property", value.func),
    staticmethod: lambda self, value: self._join("static", value.__func__),
    classmethod: lambda self, value: self._join("class method", value.__func__),
    type(functools.cache(len)): lambda self, value: self._join("cached", value.__wrapped__),
}


def _is_installed(cls: type) -> bool:
    """Say whether a class is what an installed package defines under its name."""
    module = sys.modules.get(cls.__module__)
    if package_of(module) is None:
        return False
    found: object = module
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is cls or not cls.__flags__ & _HEAP_TYPE


def _is_foreign(member: object) -> bool:
    """Say whether a member of an installed class or module is a function that was put there later."""
    function = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
    return isinstance(function, types.FunctionType) and package_at(function.__code__.co_filename) is None


def _is_own(name: str, member: object) -> bool:
    """Say whether a member of a class is its author's, not Python's bookkeeping."""
    bookkeeping = types.GetSetDescriptorType | types.MemberDescriptorType
    if name.startswith("__"):
        bookkeeping |= str | int | tuple | list | dict | None
    return name not in _BOOKKEEPING and not isinstance(member, bookkeeping)


def _names(code: types.CodeType) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Globals, attributes and modules that code names, with the code inside it."""
    names, attributes, imported = set(), set(), set()
    instructions = list(dis.get_instructions(code))
    for place, each in enumerate(instructions):
        if each.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            names.add(each.argval)
        elif each.opname in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"):
            attributes.add(each.argval)
        elif each.opname == "IMPORT_NAME":
            # Two before it, the dots of a relative import are loaded as a number.
            imported.add("." * instructions[place - 2].argval + each.argval)
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            more = _names(inner)
            names, attributes, imported = names | more[0], attributes | more[1], imported | more[2]
    return frozenset(names), frozenset(attributes), frozenset(imported)

"""Kinds of values that a card holds: paths, addresses, checksums, names."""

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field


def _local_path(path: str) -> str:
    pure = PurePosixPath(path)
    outside = pure.is_absolute() or ".." in pure.parts or PureWindowsPath(path).anchor
    if not path or outside or "\\" in path or "\0" in path:
        raise ValueError(
            f"{path!r} leads out of the folder or is no path; give one relative to the folder, with forward "
            "slashes and without '..'"
        )
    return path


def _file_path(path: str) -> str:
    if not PurePosixPath(path).parts:
        raise ValueError(f"{path!r} names a folder; name a file in it")
    return _local_path(path)


def _of_kind(*suffixes: str) -> AfterValidator:
    def check(path: str) -> str:
        if PurePosixPath(path).suffix not in suffixes:
            raise ValueError(f"{path!r} is of no kind that is read here; save it as {', '.join(suffixes)}")
        return path

    return AfterValidator(check)


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or ".." in url.split("/"):
        raise ValueError(f"{url!r} is no address that begins with https:// or http://")
    return url


def _sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ValueError(f"{text!r} is no SHA-256; give its 64 hexadecimal digits")
    return text.lower()


def _simple_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(
            f"{name!r} cannot be a name; use letters, digits, '.', '_' and '-', a letter or digit first"
        )
    return name


LocalPath = Annotated[str, AfterValidator(_local_path)]
FilePath = Annotated[str, AfterValidator(_file_path)]
ArrayPath = Annotated[FilePath, _of_kind(".npy", ".csv", ".nc", ".zarr")]
TablePath = Annotated[FilePath, _of_kind(".csv")]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Sha256 = Annotated[str, AfterValidator(_sha256)]
SimpleName = Annotated[str, AfterValidator(_simple_name)]
Degrees = Annotated[float, Field(gt=0, allow_inf_nan=False)]

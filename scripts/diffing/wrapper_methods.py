"""Which method of the wrapper makes which call: its docstring names the operation."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def methods(wrapper: Path) -> dict[str, str]:
    """The methods of the sync classes in the folder, `TextGenerator.list`, by operationId."""
    return {
        operation: f"{cls.name}.{method.name}"
        for file in sorted(wrapper.glob("*.py"))
        for cls in ast.parse(file.read_bytes()).body
        if isinstance(cls, ast.ClassDef)
        for method in cls.body
        if isinstance(method, ast.FunctionDef) and not cls.name.startswith("Async")
        for operation in re.findall(r"spec operation `(\w+)`", ast.get_docstring(method) or "")
    }

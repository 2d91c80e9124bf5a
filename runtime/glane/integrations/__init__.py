"""Search and reranking as the classes of other frameworks; this itself imports none of them.

`glane.integrations.langchain`, `llama_index` and `haystack` need theirs, and say which package to
install where it is missing.
"""

from __future__ import annotations


def missing(package: str, module: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """Return the error that says which package to install; another one as it is.

    Args:
        package: What brings the framework, as it is installed.
        module: What it is imported as.
        error: What importing it gave.
    """
    if error.name is None or not f"{error.name}.".startswith(f"{module}."):
        return error  # the framework is there, and misses something itself
    return ModuleNotFoundError(
        f"this part of glane.integrations needs {package}: pip install {package}", name=error.name
    )

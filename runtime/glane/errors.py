"""The errors of glane, one tree.

    GlaneError
    ├── CheckpointError (ValueError)   a checkpoint or model folder that cannot be used
    │   └── IndexDamaged               an index that is missing, damaged, or of another version
    ├── LockedError (OSError)          somebody else is writing to the index
    └── ParityError (ValueError)       an exported model that does not rank as its checkpoint does

A wrong argument raises Python's own `ValueError` or `TypeError`, a missing file
`FileNotFoundError`.
"""


class GlaneError(Exception):
    """Something about a file, a folder or a model that glane was given."""


class CheckpointError(GlaneError, ValueError):
    """A checkpoint or model folder that is missing, damaged, or of another kind or version."""


class IndexDamaged(CheckpointError):
    """An index that is missing, damaged, or of another version, or was changed by somebody else."""


class LockedError(GlaneError, OSError):
    """Somebody else is writing to the index."""


class ParityError(GlaneError, ValueError):
    """An exported model that does not rank as its checkpoint does."""

"""Documents' arrays under change, in memory and on disk: one format, one way to persist.

`segments` and `names` are what every retriever keeps its documents in; `writing` and `reading`
put them on disk and map them back; `files` holds every operation that changes a disk.
"""

"""The texts that owners' models are scored on: written for this, of every kind."""

QUERIES = [
    "how do plants eat light",
    "",
    "?!...",
    "  WHERE do Rivers end (near the sea)?\t",
    "森林 と 火 🌋",
    "[Q] the [MASK] of query: trees",
    "error 0x80070005 access is denied while the update of the green machines was under way and "
    "then failed again on the night of the long wind over the sea and the old forest and the rock",
]
"""Seven: ordinary, empty, punctuation, blanks around, other scripts, names of markers, long."""

DOCUMENTS = [
    "Plants turn light into sugar; the green of their leaves is what takes it up.",
    "",
    "...!?;:,--()",
    " The rivers run to the sea.\nThe wind grows cold over the sand. ",
    "森林の火は山から川へ。",
    "🔥🚀 done!",
    "ERROR 0X80070005: ACCESS IS DENIED",
    "passage: 3.14 1,000 42 -7 1e-9 62 % [D] [SEP] it's [UNK] well-known",
    "The wind would not stop. The tree was old, the rock was cold, and the bird ran by. " * 9,
    "C",
]
"""Ten, likewise; the ninth is longer than any length used here."""

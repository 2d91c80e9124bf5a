"""Documents, queries and judgements from the files that people have."""

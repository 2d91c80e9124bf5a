"""What a user picks: five retrievers, their contract, and the names they are found by."""

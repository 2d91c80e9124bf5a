"""What people start from: finds out what a folder or a name of the hub holds, whoever made it."""

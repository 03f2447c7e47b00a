"""What is written to a work directory, and read back."""

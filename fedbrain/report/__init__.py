"""Numbers with their uncertainty, tables and figures."""

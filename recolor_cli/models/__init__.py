"""The networks: torch in, torch out; no files, no printing, no options."""

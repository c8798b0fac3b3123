"""Photographs as files: found, read at full depth, and written back with everything they carried."""

"""Photographs as files: found, read at full depth, written with everything they carried."""

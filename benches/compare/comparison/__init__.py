"""Runs engines under the same loads and writes what they did as JSON lines, Markdown and HTML."""

"""A table as files: HTML, Markdown, JSON, CSV and charts; and the index of all tables."""

"""The form of what people read: sentences, numbers, tables, pages."""

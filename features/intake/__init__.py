"""How rows get from a source into our columns: reading, translating, hashing, versioning."""

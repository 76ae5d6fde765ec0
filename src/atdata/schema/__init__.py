"""Sample types as data: a class's schema, a schema's class, and what lies between two schemas."""

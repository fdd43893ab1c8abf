"""PostgreSQL: many machines, one store. Needs the extra `postgres`, which brings psycopg 3."""

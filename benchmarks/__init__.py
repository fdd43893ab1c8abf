"""What chatstore costs, beside plain SQLite and what people use today: `python -m benchmarks`."""

"""What chatstore is compared with, each started by the benchmark itself and stopped with it."""

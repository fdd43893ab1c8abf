"""The live path: one hub per process and store reads each change once and hands it to every subscription."""

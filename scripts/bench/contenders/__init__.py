"""What is measured, one module for each library, so that a process imports one of them only."""

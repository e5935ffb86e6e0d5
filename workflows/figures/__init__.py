"""What is counted and what it says: pure, whoever reads the rows."""

"""Who did what and who looked: a trail of chained entries, what follows from it, and what it can prove."""

"""Counting behind what happens: followers, what they count, and figures as they are taken."""

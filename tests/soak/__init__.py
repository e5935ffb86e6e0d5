"""A long time under load, and a judgement of what is left."""

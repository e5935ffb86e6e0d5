"""Events in the words of other systems, as pure functions from their messages to the typed catalogue."""

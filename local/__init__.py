"""The development stack: real servers on this machine, and stand-ins for the providers."""

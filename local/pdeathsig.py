"""Become a command that ends when the process that started it does.

    python -I -S pdeathsig.py PARENT SIGNAL USER COMMAND...

USER is "-" or the account to become first. A supervisor killed with SIGKILL can stop nobody, so on Linux each child
asks the kernel for SIGNAL at its parent's death. This is a program of its own and not `preexec_fn`, because code that
runs between fork and exec in a process with threads may deadlock.
"""

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Drop to the user, tie the process to its parent, and exec."""
    parent, signal_number, user, *command = sys.argv[1:]
    if user != "-":
        account = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    # After setuid: the kernel forgets the request when credentials change.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal_number))
        if os.getppid() != int(parent):
            sys.exit("The process that started this one has already ended.")
    os.execvp(command[0], command)  # noqa: S606  the command comes from our own supervisor


if __name__ == "__main__":
    main()

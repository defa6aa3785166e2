"""Runs a program whose io_uring system calls fail: deny_io_uring.py ERRNO PROGRAM [ARGUMENT ...].

A seccomp filter as container runtimes install it. x86-64 only, like the numbers below.
"""
import ctypes
import os
import struct
import sys

# Classic BPF: load the system call's number; 425 to 427 are io_uring_setup, _enter and _register.
LOAD_NUMBER = (0x20, 0, 0, 0)
BELOW = (0x35, 0, 2, 425)
ABOVE = (0x25, 1, 0, 427)
ALLOW = (0x06, 0, 0, 0x7FFF0000)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def main():
    errno, command = int(sys.argv[1]), sys.argv[2:]
    deny = (0x06, 0, 0, 0x00050000 | errno)
    code = b"".join(struct.pack("HBBI", *op) for op in (LOAD_NUMBER, BELOW, ABOVE, deny, ALLOW))
    libc = ctypes.CDLL(None, use_errno=True)
    program = Program(5, code)
    for call in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program))):
        if libc.prctl(*call) != 0:
            sys.exit(f"prctl {call[0]}: {os.strerror(ctypes.get_errno())}")
    os.execv(command[0], command)


main()

"""A program of two hundred bytes that becomes another one: the last that `join` is before it is the container's.

Whoever calls execve is what `/proc/self/exe` means to the kernel, and so to a container's `#!/proc/self/exe`: were that
the host's Python, a container could have it open, and write it where its file belongs to the same user. This program is
sealed memory of which nobody can change a byte, and there is nothing else to it: it becomes its first argument, with
the others as that one's own, or says that it cannot and exits with 127 for what is not there, else 126. A container
that runs it by that name runs out of arguments. Standard library only.
"""

from __future__ import annotations

import fcntl
import os
import struct

_SAYS = b"tiffin: the program cannot be run\n"
_PLACE = 0x400000
_HEADERS = 64 + 56
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_X86_64 = (
    "488b0c24"  # mov rcx, [rsp]          argc
    "488b7c2408"  # mov rdi, [rsp+8]        the path
    "488d742410"  # lea rsi, [rsp+16]       the program's argv
    "488d54cc10"  # lea rdx, [rsp+rcx*8+16] envp
    "4883f902"  # cmp rcx, 2
    "7207"  # jb failed
    "b83b000000"  # mov eax, execve
    "0f05"  # syscall
    "89c3"  # failed: mov ebx, eax
    "b801000000"  # mov eax, write
    "bf02000000"  # mov edi, 2
    "488d351a000000"  # lea rsi, [rip+26]       what it says
    "ba{length}"  # mov edx, length
    "0f05"  # syscall
    "bf7e000000"  # mov edi, 126
    "83fbfe"  # cmp ebx, -ENOENT
    "7502"  # jne end
    "ffc7"  # inc edi
    "b8e7000000"  # end: mov eax, exit_group
    "0f05"  # syscall
).format(length=struct.pack("<I", len(_SAYS)).hex())
_AARCH64 = (
    0xF94003E9,  # ldr x9, [sp]            argc
    0xF100093F,  # cmp x9, #2
    0x540000C3,  # b.lo failed
    0xF94007E0,  # ldr x0, [sp, #8]        the path
    0x910043E1,  # add x1, sp, #16         the program's argv
    0x8B090C22,  # add x2, x1, x9, lsl #3  envp
    0xD2801BA8,  # mov x8, #execve
    0xD4000001,  # svc #0
    0xAA0003F3,  # failed: mov x19, x0
    0xD2800040,  # mov x0, #2
    0x10000141,  # adr x1, 40              what it says
    0xD2800002 | len(_SAYS) << 5,  # mov x2, #length
    0xD2800808,  # mov x8, #write
    0xD4000001,  # svc #0
    0xD2800FC0,  # mov x0, #126
    0xB1000A7F,  # cmn x19, #ENOENT
    0x54000041,  # b.ne end
    0x91000400,  # add x0, x0, #1
    0xD2800BC8,  # end: mov x8, #exit_group
    0xD4000001,  # svc #0
)
_MACHINES = {
    "x86_64": (62, bytes.fromhex(_X86_64)),
    "aarch64": (183, struct.pack(f"<{len(_AARCH64)}I", *_AARCH64)),
}


def program(machine: str) -> bytes:
    """The whole program as an ELF file, for `x86_64` or `aarch64`."""
    number, code = _MACHINES[machine]
    size = _HEADERS + len(code) + len(_SAYS)
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack("<16sHHIQQQIHHHHHH", identity, 2, number, 1, _PLACE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, _PLACE, _PLACE, size, size, 0x1000) + code + _SAYS


def sealed() -> int:
    """A descriptor of it, in memory that nobody can write any more; it closes on exec."""
    descriptor = os.memfd_create("tiffin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, program(os.uname().machine))
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor

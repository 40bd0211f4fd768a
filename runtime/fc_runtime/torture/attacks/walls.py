"""
What a handler may reach of the host and of others: each tells what it managed.

Nothing here does harm where it succeeds: files are opened and not written, signal 0 is sent, what
is mounted is taken away at once. What is read is compared with what is really there, so that a
file of the same name in a world of the sandbox's own does not count.
"""

import ctypes
import hashlib
import os
import re
import resource
import shutil
import signal
import socket
import struct
import tempfile
import time

from door import MARK, door, libc

ARM = os.uname().machine == "aarch64"
CALLS = {  # number on x86-64, and on aarch64
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "io_uring_setup": (425, 425),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "open_by_handle_at": (304, 265),
    "process_vm_readv": (310, 270),
}


def call(name, *arguments):
    result = libc.syscall(CALLS[name][ARM], *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def attempt(*steps):
    """What each step managed; an OSError says that it was refused."""
    managed, refused = [], []
    for step in steps:
        try:
            told = step()
        except (OSError, ValueError, ImportError) as error:
            refused.append(f"{step.__name__}: {error}")
        else:
            (managed if told else refused).append(f"{step.__name__}: {told}")
    return {"managed": managed, "refused": refused}


def in_a_child(work):
    """What *work* says, in a process of its own: whatever it changes goes with it."""
    r, w = os.pipe()
    if not os.fork():
        try:
            told = work()
        except OSError:
            told = None
        os.write(w, str(told or "").encode())
        os._exit(0)
    os.close(w)
    told = os.read(r, 1000).decode()
    os.close(r)
    os.wait()
    return told


def is_the_secret(text, facts):
    return any(
        hashlib.sha256(found).hexdigest() == facts["secret_sha"]
        for found in re.findall(rb"torture-secret-[0-9a-f]{32}", text)
    )


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def searched(path, facts):
    return is_the_secret(read_file(path), facts) and f"read {path}"


# -- other processes ---------------------------------------------------------------------------


def environ_of_the_host(facts):
    def read():
        found = read_file(f"/proc/{facts['host']}/environ")
        return hashlib.sha256(found).hexdigest() == facts["environ_sha"] and "read it"

    return attempt(read)


def environ_of_a_neighbour(facts):
    def read():
        return searched(f"/proc/{facts['neighbour']}/environ", facts)

    return attempt(read)


def everybody(facts):
    """All environments that are to be seen, whoever has them."""

    def read():
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if is_the_secret(read_file(f"/proc/{name}/environ"), facts):
                    return f"found it in process {name}"
            except OSError:
                continue

    return attempt(read)


def memory(facts, pid, address):
    def through_proc():
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
            file.seek(address)
            return is_the_secret(file.read(64), facts) and f"read the memory of {pid}"

    def through_a_call():
        room = ctypes.create_string_buffer(64)
        ours = (ctypes.c_size_t * 2)(ctypes.addressof(room), 64)
        theirs = (ctypes.c_size_t * 2)(address, 64)
        arguments = (ctypes.byref(ours), ctypes.c_ulong(1), ctypes.byref(theirs), ctypes.c_ulong(1))
        call("process_vm_readv", pid, *arguments, ctypes.c_ulong(0))
        return is_the_secret(room.raw, facts) and f"read the memory of {pid}"

    return attempt(through_proc, through_a_call)


def memory_of_the_host(facts):
    return memory(facts, facts["host"], facts["host_address"])


def memory_of_a_neighbour(facts):
    return memory(facts, facts["neighbour"], facts["neighbour_address"])


def is_really(pid, facts):
    """Not merely somebody of that number, in a world of our own."""
    return os.getsid(pid) == facts["sessions"][str(pid)]


def tracing(facts):
    def seize(pid):
        def work():
            if not is_really(pid, facts):
                return None
            if libc.ptrace(0x4206, pid, None, None):  # PTRACE_SEIZE: it is not stopped
                raise OSError(ctypes.get_errno(), "ptrace")
            return f"attached to {pid}"

        return in_a_child(work)

    def host():
        return seize(facts["host"])

    def neighbour():
        return seize(facts["neighbour"])

    return attempt(host, neighbour)


def signalling(facts):
    def to(pid):
        os.kill(pid, 0)
        return is_really(pid, facts) and f"might signal {pid}"

    def host():
        return to(facts["host"])

    def zygote():
        return to(os.getppid()) if os.getppid() in facts["zygotes"] else None

    def neighbour():
        return to(facts["neighbour"])

    return attempt(host, zygote, neighbour)


def prlimit_of_a_neighbour(facts):
    def read():
        resource.prlimit(facts["neighbour"], resource.RLIMIT_CORE)
        return is_really(facts["neighbour"], facts) and "might change its limits"

    return attempt(read)


# -- files -------------------------------------------------------------------------------------


def secret_beside_the_code(facts):
    def read():
        return searched(facts["secret_path"], facts)

    return attempt(read)


def through_a_descriptor(facts):
    """The same, through whatever is open, or is the root or folder of somebody."""

    def read():
        for pid in filter(str.isdigit, os.listdir("/proc")):
            for way in ("root", "cwd/.."):
                try:
                    if is_the_secret(read_file(f"/proc/{pid}/{way}{facts['secret_path']}"), facts):
                        return f"through /proc/{pid}/{way}"
                except OSError:
                    continue
        for fd in os.listdir("/proc/self/fd"):
            try:
                if "secret.txt" in os.listdir(f"/proc/self/fd/{fd}/.."):
                    return searched(f"/proc/self/fd/{fd}/../secret.txt", facts)
            except OSError:
                continue

    return attempt(read)


def code_of_a_neighbour(facts):
    def read():
        return searched(f"{facts['neighbour_code']}/secret.txt", facts)

    return attempt(read)


def writing_to_the_code(facts):
    def new_file():
        path = f"{os.environ['FC_FUNC_CODE_PATH']}/{MARK}"
        with open(path, "w") as file:
            file.write("left")
        os.unlink(path)
        return f"wrote {path}"

    def own_module():
        os.close(os.open(__file__, os.O_WRONLY))
        return f"opened {__file__}"

    return attempt(new_file, own_module)


def writing_outside(facts):
    """Where the host's programs would meet it."""

    def of(folder):
        path = f"{folder}/{MARK}"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        os.unlink(path)
        return f"wrote to {folder}"

    def etc():
        return of("/etc")

    def usr():
        return of("/usr/bin")

    def python():
        return of(os.path.dirname(os.__file__))

    def beside_the_code():
        return of(os.path.dirname(facts["secret_path"]))

    return attempt(etc, usr, python, beside_the_code)


def shared_memory_of_the_host(facts):
    def read():
        return searched(facts["shm_path"], facts)

    return attempt(read)


def scratch_of_a_neighbour(facts):
    def read():
        return searched(facts["scratch_path"], facts)

    return attempt(read)


def shadow():
    def read():
        return read_file("/etc/shadow") and "read /etc/shadow"

    return attempt(read)


def devices():
    def memory():
        os.close(os.open("/dev/mem", os.O_RDONLY))
        return "opened /dev/mem"

    def kernel_memory():
        os.close(os.open("/proc/kcore", os.O_RDONLY))
        return "opened /proc/kcore"

    def kernel_log():
        os.close(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK))
        return "opened /dev/kmsg"

    def disk():
        with tempfile.TemporaryDirectory() as folder:
            os.mknod(f"{folder}/disk", 0o600 | 0o060000, os.makedev(254, 0))
        return "made a block device"

    return attempt(memory, kernel_memory, kernel_log, disk)


def settings_of_the_kernel():
    def opened(path):
        os.close(os.open(path, os.O_WRONLY))
        return f"might write {path}"

    def core_pattern():
        return opened("/proc/sys/kernel/core_pattern")

    def sysrq():
        return opened("/proc/sysrq-trigger")

    def helper():
        return opened("/sys/kernel/uevent_helper")

    return attempt(core_pattern, sysrq, helper)


def handed_down(facts):
    """What came by inheritance: descriptors, variables, a terminal."""

    def descriptors():
        for fd in map(int, os.listdir("/proc/self/fd")):
            try:
                if is_the_secret(os.pread(fd, 100, 0), facts):
                    return f"descriptor {fd} is the host's"
            except OSError:
                continue

    def variables():
        return is_the_secret(repr(dict(os.environ)).encode(), facts) and "the host's variable"

    def terminal():
        os.close(os.open("/dev/tty", os.O_RDWR))
        return "the host's terminal"

    return attempt(descriptors, variables, terminal)


def leaving_things():
    """Things that outlive every process: a file, and a segment of System V shared memory."""
    with open(f"/tmp/{MARK}-left", "w") as file:
        file.write("left")
    libc.shmget(int(MARK[-7:], 16), 4096, 0o1666)
    return "left"


# -- sockets -----------------------------------------------------------------------------------


def abstract_socket(facts):
    def connect():
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect("\0" + facts["abstract"])
        return "connected"

    return attempt(connect)


def socket_file(facts):
    def connect():
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(facts["socket_path"])
        return "connected"

    return attempt(connect)


def tcp_to_the_host(facts):
    def connect():
        with socket.create_connection(("127.0.0.1", facts["port"]), timeout=0.2):
            return "connected"

    return attempt(connect)


def raw_sockets():
    def packets():
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
        return "may see every packet"

    def icmp():
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
        return "may send any packet"

    return attempt(packets, icmp)


# -- the kernel --------------------------------------------------------------------------------


def mounting():
    def tmpfs():
        folder = tempfile.mkdtemp()
        try:
            if libc.mount(b"none", folder.encode(), b"tmpfs", 0, None):
                raise OSError(ctypes.get_errno(), "mount")
            libc.umount2(folder.encode(), 2)
        finally:
            os.rmdir(folder)
        return "mounted"

    return attempt(tmpfs)


def namespaces():
    def unshare(flags):
        def work():
            if libc.unshare(flags):
                raise OSError(ctypes.get_errno(), "unshare")
            return "a world of its own"

        return in_a_child(work)

    def user():
        return unshare(0x10000000)

    def mount():
        return unshare(0x00020000)

    def of_the_first_process():
        with open("/proc/1/ns/mnt") as file:
            same = os.stat(file.fileno()).st_ino == os.stat("/proc/self/ns/mnt").st_ino
            return in_a_child(
                lambda: None if libc.setns(file.fileno(), 0x00020000) or same else "entered"
            )

    return attempt(user, mount, of_the_first_process)


def bpf():
    def make_a_map():
        attributes = struct.pack("IIIII", 2, 4, 4, 1, 0) + bytes(100)  # BPF_MAP_TYPE_ARRAY
        os.close(call("bpf", 0, attributes, len(attributes)))
        return "made a map"

    return attempt(make_a_map)


def keyring():
    def session():
        return call("keyctl", 0, ctypes.c_long(-3), 1) and "has a keyring"

    return attempt(session)


def io_uring():
    def set_up():
        os.close(call("io_uring_setup", 1, bytes(120)))
        return "has a ring"

    return attempt(set_up)


def perf_events():
    def open_one():
        attributes = struct.pack("IIQ", 1, 112, 0) + bytes(96)  # PERF_TYPE_SOFTWARE, cpu clock
        os.close(call("perf_event_open", attributes, 0, -1, -1, 0))
        return "counts events"

    return attempt(open_one)


def userfaultfd():
    def open_one():
        os.close(call("userfaultfd", 0))
        return "may hold up the kernel"

    return attempt(open_one)


def file_handles():
    def open_by_handle():
        """As out of many a container: any file of a file system, by its number."""
        handle = ctypes.create_string_buffer(struct.pack("IiQ", 8, 1, 2) + bytes(16))
        root = os.open("/", os.O_RDONLY)
        try:
            os.close(call("open_by_handle_at", root, handle, os.O_RDONLY))
        except OSError as error:
            if error.errno != 116:  # ESTALE: it may, but there is no such file
                raise
        finally:
            os.close(root)
        return "may open any file"

    return attempt(open_by_handle)


def clock():
    def set_it():
        time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))
        return "set"

    return attempt(set_it)


def host_name():
    def set_it():
        socket.sethostname(socket.gethostname())
        return "set"

    return attempt(set_it)


def root():
    """Is, or becomes, the host's own root."""

    def become():
        def work():
            os.setuid(0)
            outer = read_file("/proc/self/uid_map").split()
            return "is root" if outer == [b"0", b"0", b"4294967295"] else None

        return in_a_child(work)

    def keep_a_capability():
        status = read_file("/proc/self/status").decode()
        return int(re.search(r"CapEff:\s*(\w+)", status)[1], 16) and "has capabilities"

    return attempt(become, keep_a_capability)


def chroot():
    def out():
        def work():
            os.chroot(tempfile.gettempdir())
            return "changed its root"

        return in_a_child(work)

    return attempt(out)


def limits():
    """Its own, upwards."""

    def raise_them():
        before = resource.getrlimit(resource.RLIMIT_DATA)
        if before[1] == resource.RLIM_INFINITY:
            return "had none"
        resource.setrlimit(resource.RLIMIT_DATA, (before[1] * 2, before[1] * 2))
        return "raised"

    def oom_score():
        before = int(read_file("/proc/self/oom_score_adj"))
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("-1000")
        return f"{before} is now -1000"

    def nice():
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        return "goes first"

    def real_time():
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        return "goes before everybody"

    return attempt(raise_them, oom_score, nice, real_time)


def another_cgroup():
    """Out of the group that holds it, into the topmost one: a child goes there."""

    def leave():
        def work():
            for line in read_file("/proc/self/mountinfo").decode().splitlines():
                fields, _, kind = line.partition(" - ")
                if kind.startswith("cgroup") and kind.split()[0] in ("cgroup", "cgroup2"):
                    before = read_file("/proc/self/cgroup")
                    try:
                        with open(f"{fields.split()[4]}/cgroup.procs", "w") as file:
                            file.write("0")
                    except OSError:
                        continue
                    if read_file("/proc/self/cgroup") != before:
                        return "went elsewhere"
            return None

        return in_a_child(work)

    return attempt(leave)


def set_uid_programs():
    """A program that runs as somebody else: no new privileges means that it does not."""

    def ask():
        for program in ("su", "mount", "passwd", "sudo"):
            path = shutil.which(program)
            if path and os.stat(path).st_mode & 0o4000:
                flags = read_file("/proc/self/status").decode()
                return re.search(r"NoNewPrivs:\s*(\d)", flags)[1] == "0" and f"{path} would gain"
        return None

    return attempt(ask)


dispatch = door(globals())

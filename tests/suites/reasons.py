"""Why a test passes on the original and not here: a system call that was denied, or done without an effect."""

import re

# Name of the reason, pattern of the call and its arguments, the kernel's answers. The first line
# that fits decides. docs/fidelity.md uses these names.
RULES = [
    ("forks", r"(fork|clone3?)\((?!.*(CLONE_VFORK|CLONE_THREAD))", "EAGAIN ENOSYS"),
    ("programs", r"(vfork|clone3?|execve|execveat)\((?!.*CLONE_THREAD)", "EAGAIN ENOSYS EACCES"),
    ("threads", r"clone3?\(.*CLONE_THREAD", "EAGAIN"),
    ("descriptors", r"", "EMFILE"),
    ("network", r"(socket|connect|bind|listen|accept4?|sendto|sendmsg|sendmmsg|getpeername|getsockopt)\(", "EACCES"),
    ("signals", r"(kill|tgkill|tkill|rt_sigqueueinfo|rt_tgsigqueueinfo|pidfd_send_signal|pidfd_open)\(", "EACCES"),
    ("no-effect", r"fcntl\(.*F_(OFD_)?SETLKW?\b", "done"),
    ("no-effect", r"(fsync|fdatasync|msync|fadvise64)\(", "done"),
    ("no-effect", r"setsockopt\(.*SO_(SND|RCV)BUF", "done"),
    ("flock", r"flock\(", "EACCES"),
    ("proc", r'\w+\([^"]*"/proc', "EACCES ENOENT"),
    ("modes", r"(f?chmod(at2?)?|open(at)?|mkdir(at)?|mknod(at)?|creat)\(.*\b0?[2-7]\d\d\d\b", "EACCES"),
    ("limits", r"(prlimit64|setrlimit)\(", "EACCES EPERM"),
    ("files", r"\w+\([^\"]*\"/(?!tmp/codejail-)", "EACCES EXDEV EROFS"),
    ("files", r"(link|symlink|rename|link|unlink|chdir|truncate)\w*\(", "EACCES EXDEV EROFS"),
    ("calls", r"", "EACCES ENOSYS"),
    ("files", r"\w+\([^\"]*\"/(?!tmp/codejail-|begin-|end-)", "ENOENT"),
]
ORDER = list(dict.fromkeys(name for name, _, _ in RULES))


def reason_of(calls):
    """From [(call, arguments, errno or None)] the name of the reason and the call; or None. The last denied call
    decides, since a test ends soon after it. If no call was denied, a call decides that had no effect, or that was
    answered as if the call or its file did not exist (ENOSYS, ENOENT).
    """
    weak = None
    for call, arguments, errno in reversed(calls):
        name = rule_of(call, arguments, errno)
        shown = f"{call}({arguments})"[:160] + f" = {errno or 0}"
        if name and errno not in (None, "ENOENT", "ENOSYS"):
            return name, shown
        if name and (weak is None or weak[2] == "ENOENT" != errno):
            weak = (name, shown, errno)
    return weak and weak[:2]


def rule_of(call, arguments, errno):
    text = f"{call}({arguments}"
    for name, pattern, answers in RULES:
        if (errno or "done") in answers.split() and re.match(pattern, text):
            return name
    return None

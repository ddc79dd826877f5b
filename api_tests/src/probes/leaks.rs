//! Leaks: what a run could learn of the service, of its host, and of other runs.

use crate::probe::Probe;

/// Why one layer is enough for facts that only tell an attacker about the host.
const ORIENTS: &str = "it contains no data of users; it only tells an attacker about the host";

/// The probes of the group.
pub const PROBES: &[Probe] = &[
    Probe::harm(
        "deny_the_services_environment",
        "The environment has nothing of the service's own, whose test name is CJS_TEST_ENV_LEAKAGE.",
        "signs = ('CJS_', 'CODEJAIL_', 'SUDO_', 'KUBERNETES_', 'DJANGO_', 'AWS_')\n\
         parts = ('SECRET', 'TOKEN', 'PASSWORD', 'CREDENTIAL')\n\
         x = outcome(lambda: [n for n in os.environ if n.startswith(signs) or any(p in n for p in parts)])",
    )
    .original("deny_environment_leakage"),
    Probe::works(
        "support_an_environment_without_the_services",
        "The environment has what programs need, and nothing that a service's image would have set.",
        "[\"PATH\"]",
        "import os\n\
         names = 'PATH', 'DEBIAN_FRONTEND', 'DJANGO_SETTINGS_MODULE', 'CJS_TEST_ENV_LEAKAGE'\n\
         x = [name for name in names if name in os.environ]",
    )
    .original("deny_environment_leakage"),
    Probe::harm(
        "deny_the_services_environment_through_c",
        "The environment that C code sees has nothing of the service's own.",
        "def names():\n    \
             environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), 'environ')\n    \
             found = []\n    \
             while environ[len(found)]: found.append(environ[len(found)])\n    \
             return [name for name in found if name.startswith((b'CJS_', b'CODEJAIL_'))]\n\
         x = outcome(names)",
    ),
    Probe::harm(
        "deny_inherited_descriptors",
        "No descriptor of a file, a directory, a device or a socket is inherited.",
        "import stat\n\
         def inherited():\n    \
             found = []\n    \
             for number in range(3, 1024):\n        \
                 try: mode = os.fstat(number).st_mode\n        \
                 except OSError: continue\n        \
                 if not stat.S_ISFIFO(mode): found.append([number, oct(mode)])\n    \
             return found\n\
         x = outcome(inherited)",
    ),
    Probe::harm(
        "deny_frames_below_the_code",
        "No frame of the service lies below the code, whose variables it could read.",
        "frames, frame = 0, sys._getframe()\n\
         while frame: frames, frame = frames + 1, frame.f_back\n\
         x = outcome(lambda: frames > 2 and [frames])",
    ),
    Probe::harm(
        "deny_variables_of_the_service",
        "The main module holds the runner's names alone.",
        "import __main__\n\
         known = {'sys', 'six', 'json', 'DevNull', 'code', 'g_dict'}\n\
         x = outcome(lambda: [n for n in vars(__main__) if n[:2] != '__' and n not in known])",
    ),
    Probe::harm(
        "deny_listing_users",
        "Users can't be listed by the C library.",
        "import pwd\nx = outcome(pwd.getpwall)",
    ),
    Probe::harm(
        "deny_listing_groups",
        "Groups can't be listed by the C library.",
        "import grp\nx = outcome(grp.getgrall)",
    ),
    Probe::surface(
        "deny_load_of_the_host",
        "How busy the host is can't be read.",
        ORIENTS,
        "x = outcome(lambda: read('/proc/loadavg'), FILES)",
    ),
    Probe::surface(
        "deny_memory_of_the_host",
        "How much memory the host has can't be read.",
        ORIENTS,
        "x = outcome(lambda: read('/proc/meminfo'), FILES)",
    ),
    Probe::surface(
        "deny_statistics_of_the_host",
        "What the host's processors do can't be read.",
        ORIENTS,
        "x = outcome(lambda: read('/proc/stat'), FILES)",
    ),
    Probe::surface(
        "deny_the_number_of_this_boot",
        "The number of this boot, which identifies the host, can't be read.",
        ORIENTS,
        "x = outcome(lambda: read('/proc/sys/kernel/random/boot_id'), FILES)",
    ),
    Probe::surface(
        "deny_the_kernels_build",
        "The build of the kernel can't be read.",
        ORIENTS,
        "x = outcome(lambda: read('/proc/version'), FILES)",
    ),
    Probe::surface(
        "deny_file_systems",
        "Which file systems the kernel knows can't be read.",
        ORIENTS,
        "x = outcome(lambda: read('/proc/filesystems'), FILES)",
    ),
    Probe::surface(
        "deny_symbols_of_the_kernel",
        "The kernel's symbols can't be read, even without their addresses.",
        ORIENTS,
        "x = outcome(lambda: read('/proc/kallsyms'), FILES)",
    ),
    Probe::surface(
        "deny_modules_of_the_kernel",
        "The kernel's modules can't be read.",
        ORIENTS,
        "x = outcome(lambda: os.listdir('/sys/module'), FILES)",
    ),
];

//! Network: sockets of every family, names, connections and datagrams, to the network and to the
//! host's own services.

use crate::probe::Need::Decoy;
use crate::probe::Probe;

/// Why one layer is enough against the making of a socket.
const SOCKET: &str = "a socket alone sends nothing, and sending is denied too";
/// Why one layer is enough where a network of the run's own makes the call harmless.
const OWN_NETWORK: &str =
    "in its own network namespace, a run has only a loopback interface that is down";
/// Why one layer is enough for what stays inside the run.
const INSIDE: &str = "both ends are the run's own";

/// The probes of the group.
pub const PROBES: &[Probe] = &[
    Probe::surface(
        "deny_tcp_sockets",
        "No IPv4 stream socket can be made.",
        SOCKET,
        "x = outcome(lambda: socket_of(socket.AF_INET, socket.SOCK_STREAM))",
    ),
    Probe::surface(
        "deny_udp_sockets",
        "No IPv4 datagram socket can be made.",
        SOCKET,
        "x = outcome(lambda: socket_of(socket.AF_INET, socket.SOCK_DGRAM))",
    ),
    Probe::surface(
        "deny_raw_sockets",
        "No raw IPv4 socket can be asked for.",
        "the kernel itself asks for a capability, which no sandbox has",
        "x = outcome(lambda: socket_of(socket.AF_INET, socket.SOCK_RAW, 255), ('EACCES',), ('EPERM',))",
    ),
    Probe::surface(
        "deny_tcp_sockets_of_ipv6",
        "No IPv6 stream socket can be made.",
        SOCKET,
        "x = outcome(lambda: socket_of(socket.AF_INET6, socket.SOCK_STREAM), CALLS, ('EAFNOSUPPORT',))",
    ),
    Probe::surface(
        "deny_udp_sockets_of_ipv6",
        "No IPv6 datagram socket can be made.",
        SOCKET,
        "x = outcome(lambda: socket_of(socket.AF_INET6, socket.SOCK_DGRAM), CALLS, ('EAFNOSUPPORT',))",
    ),
    Probe::surface(
        "deny_multipath_sockets",
        "No multipath TCP socket can be made.",
        SOCKET,
        "IPPROTO_MPTCP = 262\n\
         x = outcome(lambda: socket_of(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP), CALLS,\n            \
                     ('EPROTONOSUPPORT', 'ENOPROTOOPT'))",
    ),
    Probe::surface(
        "deny_sctp_sockets",
        "No SCTP socket can be made, nor its module be loaded that way.",
        SOCKET,
        "x = outcome(lambda: socket_of(socket.AF_INET, socket.SOCK_STREAM, 132), CALLS,\n            \
                     ('EPROTONOSUPPORT', 'ESOCKTNOSUPPORT'))",
    ),
    Probe::surface(
        "deny_netlink_sockets",
        "The kernel can't be asked for routes and interfaces.",
        SOCKET,
        "x = outcome(lambda: socket_of(socket.AF_NETLINK, socket.SOCK_RAW, 0))",
    ),
    Probe::surface(
        "deny_netlink_event_sockets",
        "The kernel's device events can't be listened to.",
        SOCKET,
        "NETLINK_KOBJECT_UEVENT = 15\n\
         x = outcome(lambda: socket_of(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_KOBJECT_UEVENT))",
    ),
    Probe::surface(
        "deny_packet_sockets",
        "No socket for packets of the wire can be asked for.",
        "the kernel itself asks for a capability, which no sandbox has",
        "x = outcome(lambda: socket_of(socket.AF_PACKET, socket.SOCK_RAW), ('EACCES',), ('EPERM', 'EAFNOSUPPORT'))",
    ),
    Probe::surface(
        "deny_sockets_to_the_hypervisor",
        "No socket to the host of a virtual machine can be made.",
        SOCKET,
        "x = outcome(lambda: socket_of(40, socket.SOCK_STREAM), CALLS, ('EAFNOSUPPORT', 'ENODEV'))",
    ),
    Probe::surface(
        "deny_sockets_to_the_kernels_ciphers",
        "The kernel's cryptography can't be called.",
        "it is only attack surface of the kernel",
        "x = outcome(lambda: socket_of(38, socket.SOCK_SEQPACKET), CALLS, ('EAFNOSUPPORT',))",
    ),
    Probe::surface(
        "deny_sockets_of_every_other_family",
        "No family but unix gets through to the kernel, with any type.",
        SOCKET,
        "def reached():\n    \
             through = []\n    \
             for family in [*range(2, 50), 12345]:\n        \
                 for kind in range(1, 6):\n            \
                     try:\n                \
                         socket.socket(family, kind, 0).close()\n            \
                     except OSError as error:\n                \
                         if error.errno == errno.EACCES: continue\n            \
                     through.append([family, kind])\n    \
             return through\n\
         x = outcome(reached)",
    ),
    Probe::surface(
        "deny_pairs_of_internet_sockets",
        "No pair of internet sockets can be asked for.",
        SOCKET,
        "x = outcome(lambda: socket.socketpair(socket.AF_INET), CALLS, ('ENOTSUP',))",
    ),
    Probe::harm(
        "deny_tcp_connections",
        "Nobody on the host can be connected to over IPv4.",
        "x = outcome(lambda: socket.create_connection(('127.0.0.1', decoy['tcp4'])), NETWORK)",
    )
    .needs(&[Decoy("tcp4")]),
    Probe::harm(
        "deny_tcp_connections_over_ipv6",
        "Nobody on the host can be connected to over IPv6.",
        "x = outcome(lambda: socket.create_connection(('::1', decoy['tcp6'])), NETWORK)",
    )
    .needs(&[Decoy("tcp6")]),
    Probe::harm(
        "deny_udp_datagrams",
        "No datagram can be sent over IPv4.",
        "def send():\n    \
             return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', decoy['udp4']))\n\
         x = outcome(send, NETWORK)",
    )
    .needs(&[Decoy("udp4")]),
    Probe::harm(
        "deny_udp_datagrams_over_ipv6",
        "No datagram can be sent over IPv6.",
        "def send():\n    \
             return socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('::1', decoy['udp6']))\n\
         x = outcome(send, NETWORK)",
    )
    .needs(&[Decoy("udp6")]),
    Probe::harm(
        "deny_http_requests",
        "No web page can be fetched.",
        "import urllib.error, urllib.request\n\
         def fetch():\n    \
             try:\n        \
                 return urllib.request.urlopen('http://127.0.0.1:%d/' % decoy['tcp4']).read()\n    \
             except urllib.error.URLError as error:\n        \
                 raise error.reason\n\
         x = outcome(fetch, NETWORK)",
    )
    .needs(&[Decoy("tcp4")]),
    Probe::harm(
        "deny_looking_up_names",
        "No host's name can be looked up, in files or by DNS.",
        "def look_up():\n    \
             try:\n        \
                 return socket.gethostbyname('localhost')\n    \
             except socket.gaierror as error:\n        \
                 raise PermissionError(errno.EACCES, str(error))\n\
         x = outcome(look_up)",
    ),
    Probe::harm(
        "deny_looking_up_addresses",
        "No address's name can be looked up.",
        "def look_up():\n    \
             try:\n        \
                 return socket.gethostbyaddr('127.0.0.1')\n    \
             except (socket.gaierror, socket.herror) as error:\n        \
                 raise PermissionError(errno.EACCES, str(error))\n\
         x = outcome(look_up)",
    ),
    Probe::harm(
        "deny_listening_on_tcp",
        "Nobody can connect to a run.",
        "def listen():\n    \
             listener = socket.socket()\n    \
             listener.bind(('127.0.0.1', 0))\n    \
             listener.listen()\n\
         x = outcome(listen, NETWORK)",
    ),
    Probe::surface(
        "deny_listening_on_udp",
        "Nobody can send datagrams to a run.",
        OWN_NETWORK,
        "x = outcome(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind(('127.0.0.1', 0)), NETWORK)",
    ),
    Probe::surface(
        "deny_listing_interfaces",
        "The host's network interfaces can't be listed.",
        OWN_NETWORK,
        "x = outcome(socket.if_nameindex, NETWORK)",
    ),
    Probe::surface(
        "deny_asking_a_unix_socket_for_interfaces",
        "A unix socket can't list the host's network interfaces.",
        OWN_NETWORK,
        "import fcntl\n\
         SIOCGIFCONF = 0x8912\n\
         names = ctypes.create_string_buffer(4096)\n\
         question = struct.pack('iP', 4096, ctypes.addressof(names)).ljust(16, b'\\0')\n\
         x = outcome(lambda: fcntl.ioctl(socket.socketpair()[0], SIOCGIFCONF, question))",
    ),
    Probe::harm(
        "deny_connecting_to_unix_sockets",
        "A service of the host can't be connected to by its socket's path.",
        "x = outcome(lambda: socket.socket(socket.AF_UNIX).connect(decoy['stream']), NETWORK)",
    )
    .needs(&[Decoy("stream")]),
    Probe::surface(
        "deny_connecting_to_any_path",
        "The kernel does not look up a path for the call.",
        "nothing listens at the path; deny_connecting_to_unix_sockets attacks a socket that is there",
        "x = outcome(lambda: socket.socket(socket.AF_UNIX).connect('tmp/nobody'), CALLS, ('ENOENT',))",
    ),
    Probe::surface(
        "deny_connecting_to_itself",
        "A socket of the run's own can't be connected to.",
        INSIDE,
        "listener = socket.socket(socket.AF_UNIX)\n\
         listener.bind('tmp/socket')\n\
         listener.listen()\n\
         x = outcome(lambda: socket.socket(socket.AF_UNIX).connect('tmp/socket'))",
    ),
    Probe::harm(
        "deny_connecting_to_abstract_sockets",
        "A service of the host can't be connected to by an abstract name.",
        "x = outcome(lambda: socket.socket(socket.AF_UNIX).connect('\\0' + decoy['abstract_stream']), NETWORK)",
    )
    .needs(&[Decoy("abstract_stream")]),
    Probe::harm(
        "deny_datagrams_to_unix_sockets",
        "A service of the host can't be sent a datagram by its socket's path.",
        "def send():\n    \
             return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', decoy['datagram'])\n\
         x = outcome(send, NETWORK, ('EAGAIN',))",
    )
    .needs(&[Decoy("datagram")]),
    Probe::harm(
        "deny_datagrams_to_abstract_sockets",
        "A service of the host can't be sent a datagram by an abstract name.",
        "def send():\n    \
             sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n    \
             return sender.sendto(b'x', '\\0' + decoy['abstract_datagram'])\n\
         x = outcome(send, NETWORK)",
    )
    .needs(&[Decoy("abstract_datagram")]),
    Probe::harm(
        "deny_messages_to_unix_sockets",
        "A service of the host can't be sent a message.",
        "def send():\n    \
             sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n    \
             return sender.sendmsg([b'x'], [], 0, decoy['datagram'])\n\
         x = outcome(send, NETWORK)",
    )
    .needs(&[Decoy("datagram")]),
    Probe::harm(
        "deny_several_messages_to_unix_sockets",
        "A service of the host can't be sent several messages at once.",
        "def send():\n    \
             sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n    \
             name = ctypes.create_string_buffer(struct.pack('H', socket.AF_UNIX) + decoy['datagram'].encode() + b'\\0')\n    \
             text = ctypes.create_string_buffer(b'x')\n    \
             piece = ctypes.create_string_buffer(struct.pack('PN', ctypes.addressof(text), 1))\n    \
             message = struct.pack('PIPNPNiI', ctypes.addressof(name), len(name) - 1, ctypes.addressof(piece), 1, 0, 0, 0, 0)\n    \
             call('sendmmsg', sender.fileno(), message.ljust(64, b'\\0'), 1, 0)\n\
         x = outcome(send, NETWORK)",
    )
    .needs(&[Decoy("datagram")]),
    Probe::harm(
        "deny_handing_descriptors_to_others",
        "A descriptor can't be handed to a service of the host.",
        "def hand_over():\n    \
             rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack('i', 0))]\n    \
             sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n    \
             return sender.sendmsg([b'x'], rights, 0, decoy['datagram'])\n\
         x = outcome(hand_over, NETWORK)",
    )
    .needs(&[Decoy("datagram")]),
    Probe::surface(
        "deny_handing_descriptors_to_itself",
        "A descriptor can't be handed over a pair of sockets of the run's own.",
        INSIDE,
        "def hand_over():\n    \
             rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack('i', 0))]\n    \
             return pair[0].sendmsg([b'x'], rights)\n\
         pair = socket.socketpair()\n\
         x = outcome(hand_over)",
    ),
    Probe::harm(
        "deny_sockets_in_a_directory_open_to_all",
        "No socket can be bound where others would connect to it.",
        "def bind(path):\n    \
             socket.socket(socket.AF_UNIX).bind(path)\n\
         x = outcome(lambda: make_and_remove(bind, new_name(decoy['dir'])), FILES)",
    )
    .needs(&[Decoy("dir")]),
    Probe::surface(
        "deny_packet_filters",
        "No filter program can be given to a socket.",
        "a filter sees only the messages of its own socket; it is only more kernel code that can have bugs",
        "SO_ATTACH_FILTER, ACCEPT = 26, struct.pack('HBBI', 6, 0, 0, 0xFFFF)\n\
         program = ctypes.create_string_buffer(ACCEPT)\n\
         filter = struct.pack('HP', 1, ctypes.addressof(program))\n\
         pair = socket.socketpair()\n\
         x = outcome(lambda: pair[0].setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter))",
    ),
];

//! Bits of a mode that let a program run as its file's owner or group: each call that could set
//! them.

use crate::probe::Need::Limit;
use crate::probe::Probe;

/// Why one layer is enough against these attacks.
const NOBODY: &str = "the file belongs to the run; with the mounts layer the kernel ignores the bits; and a \
                      program with them would only run as the run's own user";

macro_rules! ways {
    ($($name:literal, $shows:literal, $code:literal;)*) => {
        &[$(Probe::surface(
            $name,
            $shows,
            NOBODY,
            concat!(
                "SET_USER_ID, SET_GROUP_ID = 0o4755, 0o2755\n\
                 def bits(): return os.lstat('tmp/program').st_mode & 0o6000\n\
                 def empty_file(): open('tmp/program', 'w').close()\n",
                $code
            ),
        )
        .needs(&[Limit("FSIZE")])),*]
    };
}

/// The probes of set-user-id and set-group-id bits.
pub const PROBES: &[Probe] = ways![
    "deny_set_user_id_by_path", "A file can't be made to run as its owner.",
    "empty_file()\nx = outcome(lambda: os.chmod('tmp/program', SET_USER_ID) or bits())";
    "deny_set_group_id_by_path", "A file can't be made to run as its group.",
    "empty_file()\nx = outcome(lambda: os.chmod('tmp/program', SET_GROUP_ID) or bits())";
    "deny_set_user_id_by_descriptor", "A file can't be made to run as its owner by a descriptor.",
    "empty_file()\nx = outcome(lambda: os.chmod(os.open('tmp/program', os.O_RDONLY), SET_USER_ID) or bits())";
    "deny_set_user_id_in_a_directory", "A file can't be made to run as its owner by a name in a directory.",
    "empty_file()\n\
     x = outcome(lambda: os.chmod('program', SET_USER_ID, dir_fd=os.open('tmp', os.O_RDONLY)) or bits())";
    "deny_set_user_id_without_following_links", "A file can't be made to run as its owner by the call that does not follow links.",
    "empty_file()\n\
     HERE, NO_FOLLOW = -100, 0x100\n\
     def change():\n    \
         call('fchmodat2', HERE, b'tmp/program', SET_USER_ID, NO_FOLLOW)\n    \
         return bits()\n\
     x = outcome(change)";
    "deny_set_user_id_on_a_new_file", "A new file can't have a mode with which it runs as its owner.",
    "x = outcome(lambda: os.open('tmp/program', os.O_CREAT | os.O_EXCL | os.O_WRONLY, SET_USER_ID) and bits())";
    "deny_set_group_id_on_a_new_file", "A new file can't have a mode with which it runs as its group.",
    "x = outcome(lambda: os.open('tmp/program', os.O_CREAT | os.O_EXCL | os.O_WRONLY, SET_GROUP_ID) and bits())";
    "deny_set_user_id_on_a_nameless_file", "A file without a name, which could get one, can't have a set-user-id mode.",
    "file = lambda: os.open('tmp', os.O_TMPFILE | os.O_WRONLY, SET_USER_ID)\n\
     x = outcome(lambda: os.fstat(file()).st_mode & 0o6000)";
    "deny_set_user_id_by_the_oldest_call", "The oldest call for new files can't give a set-user-id mode.",
    "SYSTEM_CALLS['creat'] = (85, None)\n\
     x = outcome(lambda: call('creat', b'tmp/program', SET_USER_ID) and bits())";
    "deny_set_user_id_on_a_node", "A file that is made as a node can't have a set-user-id mode.",
    "x = outcome(lambda: os.mknod('tmp/program', 0o100000 | SET_USER_ID) or bits())";
    "deny_set_user_id_on_a_pipe", "A pipe with a name can't have a set-user-id mode.",
    "x = outcome(lambda: os.mkfifo('tmp/program', SET_USER_ID) or bits())";
    "deny_set_user_id_on_a_socket", "A socket that gets a name can't have a set-user-id mode.",
    "def bind():\n    \
         made = socket.socket(socket.AF_UNIX)\n    \
         os.fchmod(made.fileno(), SET_USER_ID)\n    \
         made.bind('tmp/program')\n    \
         return bits()\n\
     x = outcome(bind)";
];

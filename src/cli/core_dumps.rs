//! Whether the process may leave a core dump: its memory holds private keys and secrets.
//!
//! Must not know what decides it.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

/// From now on a crash leaves no core dump, and no debugger of the same user reads the memory.
///
/// The limit is for kernels that write a file. A kernel that hands the dump to a program does not
/// look at the limit, only at whether the process is dumpable.
pub(super) fn forbid() {
    let maximum = getrlimit(Resource::Core).maximum;
    let none = Rlimit {
        current: Some(0),
        maximum,
    };
    // Ignore a failure: a kernel that refuses both has no dumps to forbid.
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Takes [`forbid`] back. A crash leaves as much as the hard limit allows.
pub(super) fn allow() {
    let maximum = getrlimit(Resource::Core).maximum;
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    let _ = setrlimit(Resource::Core, all);
    let _ = set_dumpable_behavior(DumpableBehavior::Dumpable);
}

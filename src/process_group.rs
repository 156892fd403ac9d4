//! A group of processes that ends with handsctl: a program that it runs is often a script, and what takes long is its
//! child.

use rustix::process::{Pid, Signal, kill_process_group};

/// A process group that is killed on drop, unless its program has exited.
pub(crate) struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    /// Takes the group of this leader. None: the program has exited already, or its group is that of handsctl.
    pub(crate) fn new(leader: Option<u32>) -> Self {
        Self(leader.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// Lets the rest of the group run: the program has exited, and may have started a daemon.
    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _group_may_have_exited = kill_process_group(group, Signal::KILL);
        }
    }
}

//! Identifies a process and checks whether it still runs, so that a lock does not outlive a killed holder.

use super::environment;

/// The identity of a process, unique across computers and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Name of the user who started it, for display only.
    pub user: String,
    /// Host name of the computer.
    pub host: String,
    /// Boot id and PID namespace, as `BOOT.NAMESPACE`: each container on a computer has its own namespace.
    pub boot: String,
    /// Its PID.
    pub pid: u32,
    /// Its start time, as the operating system reports it: a PID alone may be reused.
    pub start: String,
}

impl Process {
    /// Returns the identity of this process.
    #[must_use]
    pub fn current() -> Self {
        let pid = std::process::id();
        Self {
            user: environment::user_name(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            boot: boot().unwrap_or_default(),
            pid,
            start: start_time(pid).unwrap_or_default(),
        }
    }
}

/// Whether the process ran on this computer in this PID namespace and has exited. In doubt false.
#[must_use]
pub fn has_exited(process: &Process) -> bool {
    let this = Process::current();
    if process.host != this.host || process.boot.is_empty() || process.start.is_empty() {
        return false;
    }
    let (Some((their_boot, their_namespace)), Some((boot, namespace))) =
        (process.boot.split_once('.'), this.boot.split_once('.'))
    else {
        return false;
    };
    if their_boot != boot {
        // The computer was restarted. Another computer of the same name would not have this cluster's credentials.
        return their_namespace == namespace;
    }
    their_namespace == namespace && start_time(process.pid).is_none_or(|start| start != process.start)
}

/// `BOOT.NAMESPACE`.
#[cfg(target_os = "linux")]
fn boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    // `pid:[4026531836]`
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let namespace: String = namespace.to_str()?.chars().filter(char::is_ascii_digit).collect();
    Some(format!("{}.{namespace}", id.trim()))
}

/// Start time of a process in clock ticks since boot: field 22 of its `stat`
/// (<https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>). None if it has exited, also as a zombie.
#[cfg(target_os = "linux")]
fn start_time(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may contain spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18).map(str::to_owned) }
}

#[cfg(not(target_os = "linux"))]
fn boot() -> Option<String> {
    let output = std::process::Command::new("sysctl").args(["-n", "kern.boottime"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    // `{ sec = 1700000000, usec = 0 } …`
    let seconds: String = text.split("sec = ").nth(1)?.chars().take_while(char::is_ascii_digit).collect();
    Some(format!("{seconds}.0"))
}

#[cfg(not(target_os = "linux"))]
fn start_time(pid: u32) -> Option<String> {
    let output =
        std::process::Command::new("ps").args(["-o", "lstart=", "-p", &pid.to_string()]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().replace(['/', ' '], "_");
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn current_process_is_not_gone() {
        let this = Process::current();
        assert!(!this.start.is_empty() && this.boot.contains('.'), "{this:?}");
        assert!(!has_exited(&this));
    }

    #[test]
    fn exited_process_and_reused_pid_are_gone() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let mut exited = Process { pid: child.id(), ..Process::current() };
        exited.start = start_time(exited.pid).unwrap_or_else(|| "1".to_owned());
        child.wait().unwrap();
        assert!(has_exited(&exited));
        assert!(has_exited(&Process { start: "1".to_owned(), ..Process::current() }));
    }

    #[test]
    fn process_of_an_earlier_boot_is_gone() {
        let namespace = Process::current().boot.split_once('.').unwrap().1.to_owned();
        assert!(has_exited(&Process { boot: format!("earlier.{namespace}"), ..Process::current() }));
    }

    #[test]
    fn process_of_another_host_or_namespace_is_not_gone() {
        assert!(!has_exited(&Process { host: "elsewhere".to_owned(), pid: 1, ..Process::current() }));
        let boot = Process::current().boot.split_once('.').unwrap().0.to_owned();
        assert!(!has_exited(&Process {
            boot: format!("{boot}.container"),
            start: "1".into(),
            ..Process::current()
        }));
        assert!(!has_exited(&Process { boot: String::new(), ..Process::current() }));
    }
}

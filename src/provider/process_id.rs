//! Which process this is, and whether another one of this computer is still there: so that a lock whose holder was
//! killed is not waited for.

use std::env;

/// A process, told apart from every other one of any computer at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Who started it, for people.
    pub user: String,
    /// The computer's name.
    pub host: String,
    /// Which start of the computer, and which table of processes: containers of one computer have their own.
    pub boot: String,
    /// Its number.
    pub pid: u32,
    /// When it was started, as the computer counts: numbers are used again.
    pub start: String,
}

impl Process {
    /// This one.
    #[must_use]
    pub fn current() -> Self {
        let pid = std::process::id();
        Self {
            user: user(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            boot: boot().unwrap_or_default(),
            pid,
            start: start_of(pid).unwrap_or_default(),
        }
    }
}

/// Whether this process was one of this computer, in this table of processes, and is gone. In doubt it is not.
#[must_use]
pub fn is_gone(process: &Process) -> bool {
    let here = Process::current();
    if process.host != here.host || process.boot.is_empty() || process.start.is_empty() {
        return false;
    }
    let (Some((their_boot, their_table)), Some((boot, table))) =
        (process.boot.split_once('.'), here.boot.split_once('.'))
    else {
        return false;
    };
    if their_boot != boot {
        // The computer was started again. Another one of that name would have to have stolen the cluster's credentials.
        return their_table == table;
    }
    their_table == table && start_of(process.pid).is_none_or(|start| start != process.start)
}

fn user() -> String {
    ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| match rustix::process::getuid() {
            root if root.is_root() => "root".to_owned(),
            uid => format!("uid-{}", uid.as_raw()),
        })
        .replace(['/', '@'], "_")
}

/// `START.TABLE`.
#[cfg(target_os = "linux")]
fn boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    // `pid:[4026531836]`
    let table = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let table: String = table.to_str()?.chars().filter(char::is_ascii_digit).collect();
    Some(format!("{}.{table}", id.trim()))
}

/// The time of the process' start in ticks since the computer's, the 22nd field of its `stat`
/// (<https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>). None where it is gone, or only waits to be reaped.
#[cfg(target_os = "linux")]
fn start_of(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may contain blanks.
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    let state = rest.next()?;
    if matches!(state, "Z" | "X") { None } else { rest.nth(18).map(str::to_owned) }
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
fn start_of(pid: u32) -> Option<String> {
    let output =
        std::process::Command::new("ps").args(["-o", "lstart=", "-p", &pid.to_string()]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().replace(['/', ' '], "_");
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_there() {
        let this = Process::current();
        assert!(!this.start.is_empty() && this.boot.contains('.'), "{this:?}");
        assert!(!is_gone(&this));
    }

    #[test]
    fn a_process_that_ended_is_gone_and_so_is_one_whose_number_is_used_again() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let mut ended = Process { pid: child.id(), ..Process::current() };
        ended.start = start_of(ended.pid).unwrap_or_else(|| "1".to_owned());
        child.wait().unwrap();
        assert!(is_gone(&ended));
        assert!(is_gone(&Process { start: "1".to_owned(), ..Process::current() }));
    }

    #[test]
    fn a_process_before_the_computers_last_start_is_gone() {
        let table = Process::current().boot.split_once('.').unwrap().1.to_owned();
        assert!(is_gone(&Process { boot: format!("earlier.{table}"), ..Process::current() }));
    }

    #[test]
    fn of_a_process_elsewhere_nothing_is_known() {
        assert!(!is_gone(&Process { host: "elsewhere".to_owned(), pid: 1, ..Process::current() }));
        let boot = Process::current().boot.split_once('.').unwrap().0.to_owned();
        assert!(!is_gone(&Process {
            boot: format!("{boot}.container"),
            start: "1".into(),
            ..Process::current()
        }));
        assert!(!is_gone(&Process { boot: String::new(), ..Process::current() }));
    }
}

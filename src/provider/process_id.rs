//! Identifies a process and checks whether it still runs, so that a lock does not outlive a killed holder.

use std::sync::OnceLock;

use hmac::{Hmac, KeyInit as _, Mac as _};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use sha2::Sha256;

use super::environment;

/// The identity of a process, unique across computers and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Name of the user who started it, for display only.
    pub user: String,
    /// Host name of the computer. Several computers may have the same one.
    pub host: String,
    /// The computer, its boot and the PID namespace, as `MACHINE.BOOT.NAMESPACE`: a PID is only meaningful within all
    /// three. Each container on a computer has its own namespace. Empty: unknown.
    pub computer: String,
    /// Its PID.
    pub pid: u32,
    /// Its start time, as the operating system reports it: a PID alone may be reused. Empty: unknown.
    pub start: String,
    /// A random number of the process: two processes differ, even where the other fields cannot be read.
    pub nonce: String,
}

impl Process {
    /// Returns the identity of this process.
    #[must_use]
    pub fn current() -> Self {
        Self {
            user: environment::user_name(),
            host: rustix::system::uname().nodename().to_string_lossy().replace(['/', '@'], "_"),
            computer: computer(environment::test_computer().as_deref()).unwrap_or_default(),
            pid: std::process::id(),
            start: own_start().unwrap_or_default(),
            nonce: nonce(),
        }
    }

    /// Whether the other process ran on the computer of this one, in the same PID namespace and since the same boot, and
    /// has exited. In doubt false: another computer of the same name, or an earlier boot of this one, cannot be told
    /// apart from a process that still runs elsewhere.
    #[must_use]
    pub fn sees_exit_of(&self, other: &Process) -> bool {
        let is_same_computer =
            !self.computer.is_empty() && self.computer == other.computer && self.host == other.host;
        is_same_computer && has_ended(other.pid, &other.start)
    }
}

/// Whether the process ran on this computer in this PID namespace and has exited. In doubt false.
#[must_use]
pub fn has_exited(process: &Process) -> bool {
    Process::current().sees_exit_of(process)
}

/// What the operating system reports about a PID.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PidState {
    /// No process has it, or only a zombie.
    Ended,
    /// A process has it that started then.
    Started(String),
    /// A process has it, and its start time may not be read.
    Unreadable,
}

/// Whether the process with this PID and start time has ended.
fn has_ended(pid: u32, start: &str) -> bool {
    match state(pid) {
        Some(PidState::Ended) => true,
        Some(PidState::Started(actual)) => !start.is_empty() && actual != start,
        Some(PidState::Unreadable) | None => false,
    }
}

/// Returns the state of a PID; None: it is no PID. Only the kernel's ESRCH proves that no process has it: the files of
/// another user's process may be hidden (`hidepid`, <https://man7.org/linux/man-pages/man5/proc_pid.5.html>).
fn state(pid: u32) -> Option<PidState> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    match test_kill_process(raw) {
        Err(Errno::SRCH) => Some(PidState::Ended),
        Ok(()) | Err(_) => Some(read_state(pid)),
    }
}

/// Returns `MACHINE.BOOT.NAMESPACE`; None: the boot or the namespace is unknown. `test` makes this computer another one
/// for tests. It is mixed with the real ids, so it can only tell computers apart: a lock is then respected for longer,
/// and never taken earlier.
fn computer(test: Option<&str>) -> Option<String> {
    let boot = boot_id()?;
    let namespace = namespace()?;
    let machine = machine_id().unwrap_or_default();
    let purpose = format!("handsctl lock {}", test.unwrap_or_default());
    let boot = if test.is_some() { digest(&boot, &purpose) } else { boot };
    Some(format!("{}.{boot}.{namespace}", digest(&machine, &purpose)))
}

/// Returns an id of this user of this computer, as the value of a label: users who share a container engine differ.
pub(super) fn account() -> String {
    let user = rustix::process::getuid().as_raw();
    let test = environment::test_computer().unwrap_or_default();
    account_on(machine_id().as_deref(), &this_container(), user, &test)
}

/// Without the id of a machine the account is one of `container`. The images of containers have no such id, and the jobs
/// of a CI runner share its engine: each deletes only its own cluster.
fn account_on(machine: Option<&str>, container: &str, user: u32, test: &str) -> String {
    digest(machine.unwrap_or(container), &format!("handsctl account {user} {test}"))
}

/// Returns an id of the container that this process runs in. Two containers that run at the same time differ, unless they
/// share the host's name and its processes.
fn this_container() -> String {
    let host = rustix::system::uname();
    let parts = [Some(host.nodename().to_string_lossy().into_owned()), boot_id(), namespace()];
    parts.map(Option::unwrap_or_default).join("/")
}

/// Returns a digest of a confidential id for one purpose, as <https://www.freedesktop.org/software/systemd/man/latest/machine-id.html>
/// requires. An unknown id has a digest, too.
fn digest(id: &str, purpose: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(id.as_bytes()) else { return String::new() };
    mac.update(purpose.as_bytes());
    let bytes = mac.finalize().into_bytes();
    let start = bytes.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    format!("{start:016x}")
}

/// Returns a random number that stays the same in this process.
fn nonce() -> String {
    static NONCE: OnceLock<String> = OnceLock::new();
    let random = || {
        let mut bytes = [0; 8];
        match getrandom::fill(&mut bytes) {
            Ok(()) => format!("{:016x}", u64::from_ne_bytes(bytes)),
            // Two processes rarely start in the same nanosecond.
            Err(_no_random) => format!("{:x}", jiff::Timestamp::now().as_nanosecond()),
        }
    };
    NONCE.get_or_init(random).clone()
}

/// Returns the id of the installation, which all boots share. Containers may have none.
#[cfg(target_os = "linux")]
fn machine_id() -> Option<String> {
    let read = |path: &str| {
        let id = std::fs::read_to_string(path).ok()?.trim().to_owned();
        // `uninitialized` until the first boot has ended.
        (id.len() == 32).then_some(id)
    };
    read("/etc/machine-id").or_else(|| read("/var/lib/dbus/machine-id"))
}

/// Returns the random id of the kernel's boot.
#[cfg(target_os = "linux")]
fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
    (!id.is_empty()).then_some(id)
}

/// Returns the number of the PID namespace. It identifies a namespace only within a boot: the first one has the same
/// number on every computer.
#[cfg(target_os = "linux")]
fn namespace() -> Option<String> {
    // `pid:[4026531836]`
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let namespace: String = namespace.to_str()?.chars().filter(char::is_ascii_digit).collect();
    (!namespace.is_empty()).then_some(namespace)
}

#[cfg(target_os = "linux")]
fn own_start() -> Option<String> {
    match parse_stat(&std::fs::read_to_string("/proc/self/stat").ok()?) {
        Some(PidState::Started(start)) => Some(start),
        _ => None,
    }
}

/// Reads the state of a PID that some process has, or had a moment ago.
#[cfg(target_os = "linux")]
fn read_state(pid: u32) -> PidState {
    // In a new PID namespace with the old `/proc`, its files describe other processes.
    let own = std::fs::read_link("/proc/self").ok();
    if own.is_none_or(|own| own.as_os_str() != std::process::id().to_string().as_str()) {
        return PidState::Unreadable;
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.ok().and_then(|stat| parse_stat(&stat)).unwrap_or(PidState::Unreadable)
}

/// Parses a `stat`: the start time is field 22, in clock ticks since boot
/// (<https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>).
#[cfg(target_os = "linux")]
fn parse_stat(stat: &str) -> Option<PidState> {
    // The second field is the program's name in parentheses, which may contain spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    match fields.next()? {
        "Z" | "X" => Some(PidState::Ended),
        _ => fields.nth(18).map(|start| PidState::Started(start.to_owned())),
    }
}

/// Returns the hardware's id.
#[cfg(not(target_os = "linux"))]
fn machine_id() -> Option<String> {
    let registry = output_of("ioreg", &["-rd1", "-c", "IOPlatformExpertDevice"])?;
    // `"IOPlatformUUID" = "0A1B…"`
    let (_, rest) = registry.split_once("\"IOPlatformUUID\"")?;
    rest.split('"').nth(1).map(str::to_owned)
}

/// Returns the random id of the kernel's boot.
#[cfg(not(target_os = "linux"))]
fn boot_id() -> Option<String> {
    output_of("sysctl", &["-n", "kern.bootsessionuuid"])
}

/// There are no PID namespaces.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "Linux may not tell its namespace")]
fn namespace() -> Option<String> {
    Some("0".to_owned())
}

#[cfg(not(target_os = "linux"))]
fn own_start() -> Option<String> {
    match read_state(std::process::id()) {
        PidState::Started(start) => Some(start),
        PidState::Ended | PidState::Unreadable => None,
    }
}

#[cfg(not(target_os = "linux"))]
fn read_state(pid: u32) -> PidState {
    match output_of("ps", &["-o", "lstart=", "-p", &pid.to_string()]) {
        Some(start) => PidState::Started(start.replace(['/', ' '], "_")),
        None => PidState::Unreadable,
    }
}

/// Returns the output of a program, without the spaces around it; None: it fails or prints nothing.
#[cfg(not(target_os = "linux"))]
fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PID that no process has any more.
    fn ended_pid() -> u32 {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        pid
    }

    #[test]
    fn current_process_is_not_gone() {
        let this = Process::current();
        assert!(!this.start.is_empty() && !this.nonce.is_empty(), "{this:?}");
        assert_eq!(this.computer.split('.').count(), 3, "{this:?}");
        assert_eq!(Process::current(), this);
        assert!(!has_exited(&this));
    }

    #[test]
    fn exited_process_and_reused_pid_are_gone() {
        let this = Process::current();
        assert!(has_exited(&Process { pid: ended_pid(), ..this.clone() }));
        assert!(has_exited(&Process { pid: ended_pid(), start: String::new(), ..this.clone() }));
        assert!(has_exited(&Process { start: "1".to_owned(), ..this }));
    }

    #[test]
    fn process_with_unknown_start_is_not_gone() {
        let this = Process::current();
        assert!(!has_exited(&Process { start: String::new(), ..this.clone() }));
        // Numbers that no process can have.
        for pid in [0, u32::MAX] {
            assert!(!has_exited(&Process { pid, ..this.clone() }), "{pid}");
        }
    }

    #[test]
    fn process_that_may_not_be_signalled_is_not_gone() {
        // Without the right to read it, the first process has the state of a hidden one.
        assert_ne!(state(1), Some(PidState::Ended));
        assert!(!has_ended(1, ""));
    }

    #[test]
    fn process_of_another_computer_boot_or_namespace_is_not_gone() {
        let this = Process::current();
        let parts: Vec<&str> = this.computer.split('.').collect();
        let [machine, boot, namespace] = parts[..] else { panic!("{}", this.computer) };
        for computer in [
            format!("other.{boot}.{namespace}"),
            format!("{machine}.other.{namespace}"),
            format!("{machine}.{boot}.container"),
            format!("{boot}.{namespace}"),
            String::new(),
        ] {
            let elsewhere = Process { computer: computer.clone(), pid: ended_pid(), ..this.clone() };
            assert!(!has_exited(&elsewhere), "{computer}");
            assert!(!elsewhere.sees_exit_of(&Process { pid: ended_pid(), ..this.clone() }), "{computer}");
        }
        assert!(!has_exited(&Process { host: "elsewhere".to_owned(), pid: ended_pid(), ..this }));
    }

    #[test]
    fn unknown_computers_are_never_the_same() {
        let unknown = Process { computer: String::new(), ..Process::current() };
        assert!(!unknown.sees_exit_of(&Process { pid: ended_pid(), ..unknown.clone() }));
    }

    #[test]
    fn accounts_of_containers_without_machine_id_differ() {
        let account = |machine, container| account_on(machine, container, 0, "");
        assert_ne!(account(None, "job-1/boot/1"), account(None, "job-2/boot/1"));
        assert_ne!(account(None, "runner/boot/1"), account(None, "runner/boot/2"), "one host name");
        assert_eq!(
            account(Some("m"), "ana/boot/1"),
            account(Some("m"), "ana.local/next/1"),
            "another network"
        );
        let container = this_container();
        assert_eq!(this_container(), container);
        assert!(container.split('/').all(|part| !part.is_empty()), "{container}");
    }

    #[test]
    fn test_identity_only_tells_computers_apart() {
        let real = computer(None).unwrap();
        let (one, two) = (computer(Some("one")).unwrap(), computer(Some("two")).unwrap());
        assert_eq!(computer(Some("one")).unwrap(), one);
        assert!(real != one && one != two, "{real} {one} {two}");
        let part = |text: &str, at| text.split('.').nth(at).unwrap().to_owned();
        for at in [0, 1] {
            assert_ne!(part(&real, at), part(&one, at));
            assert_ne!(part(&one, at), part(&two, at));
        }
        assert_ne!(digest("a", "one"), digest("b", "one"), "another computer with the same test identity");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn machine_id_is_not_published() {
        let id = machine_id().unwrap_or_else(|| "none".to_owned());
        assert!(!Process::current().computer.contains(&id));
    }
}

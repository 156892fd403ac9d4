//! The URLs of the official releases and their checksums.

use super::pinned::Pin;
use super::program::{Program, ProgramSet};

/// The base URLs of the releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirror {
    etcd: String,
    kubernetes: String,
    kwok: String,
    kind: String,
}

impl Mirror {
    /// The publishers' URLs, or with a `base`: `base/etcd`, `base/kubernetes`, `base/kwok`, `base/kind`.
    pub(super) fn new(base: Option<&str>) -> Self {
        let base_url = |set: ProgramSet, official: &str| {
            base.map_or_else(|| official.to_owned(), |base| format!("{}/{set}", base.trim_end_matches('/')))
        };
        Self {
            etcd: base_url(ProgramSet::Etcd, "https://github.com/etcd-io/etcd/releases/download"),
            kubernetes: base_url(ProgramSet::Kubernetes, "https://dl.k8s.io/release"),
            kwok: base_url(ProgramSet::Kwok, "https://github.com/kubernetes-sigs/kwok/releases/download"),
            kind: base_url(ProgramSet::Kind, "https://github.com/kubernetes-sigs/kind/releases/download"),
        }
    }
}

/// The platform that programs must run on, with Go's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Platform {
    pub(super) os: &'static str,
    pub(super) arch: &'static str,
}

impl Platform {
    /// Returns the platform of this computer.
    pub(super) fn current() -> Self {
        let os = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };
        let arch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { os, arch }
    }
}

/// A file of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) url: String,
    pub(super) checksum: Checksum,
    pub(super) packing: Packing,
}

/// The source of a file's expected SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Checksum {
    /// A checksum file of the same release: its line for this file, or its only word.
    Published { url: String, file: String },
    /// A checksum in `versions.toml`.
    Pinned(String),
    /// There is no checksum, so the file is not downloaded.
    Unknown,
}

/// The format of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Packing {
    /// The program itself.
    Plain,
    /// An archive with this member.
    TarGz(String),
}

pub(super) fn release(
    mirror: &Mirror,
    program: Program,
    version: &str,
    platform: Platform,
    pin: &Pin,
) -> Release {
    let Platform { os, arch } = platform;
    let release = published(mirror, program, version, os, arch);
    // A checksum of the same host protects against a broken download only.
    let end_of_url = |file: &str| release.url.strip_suffix(file).is_some_and(|base| base.ends_with('/'));
    let pinned = pin.sha256.iter().find(|(file, _)| end_of_url(file)).map(|(_, sum)| sum);
    match pinned.filter(|_| version == pin.version) {
        Some(sum) => Release { checksum: Checksum::Pinned(sum.clone()), ..release },
        None => release,
    }
}

fn published(mirror: &Mirror, program: Program, version: &str, os: &str, arch: &str) -> Release {
    match program {
        Program::Etcd => {
            let stem = format!("etcd-{version}-{os}-{arch}");
            let folder = format!("{}/{version}", mirror.etcd);
            Release {
                url: format!("{folder}/{stem}.tar.gz"),
                checksum: Checksum::Published {
                    url: format!("{folder}/SHA256SUMS"),
                    file: format!("{stem}.tar.gz"),
                },
                packing: Packing::TarGz(format!("{stem}/etcd")),
            }
        }
        Program::Kwok | Program::Kwokctl => {
            let file = format!("{program}-{os}-{arch}");
            Release {
                url: format!("{}/{version}/{file}", mirror.kwok),
                // kwok's releases have no checksum file.
                checksum: Checksum::Unknown,
                packing: Packing::Plain,
            }
        }
        Program::Kind => {
            let file = format!("kind-{os}-{arch}");
            let url = format!("{}/{version}/{file}", mirror.kind);
            let checksum = Checksum::Published { url: format!("{url}.sha256sum"), file };
            Release { url, checksum, packing: Packing::Plain }
        }
        _ => {
            let url = format!("{}/{version}/bin/{os}/{arch}/{program}", mirror.kubernetes);
            let checksum =
                Checksum::Published { url: format!("{url}.sha256"), file: program.name().to_owned() };
            Release { url, checksum, packing: Packing::Plain }
        }
    }
}

/// Finds the SHA-256 of `file` in a checksum file: `HEX  FILE` lines, or the checksum alone.
pub(super) fn sum_of(text: &str, file: &str) -> Option<String> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let listed = lines.clone().find_map(|line| {
        let (sum, name) = line.split_once(char::is_whitespace)?;
        (name.trim().trim_start_matches('*') == file).then_some(sum)
    });
    let alone = || lines.next().filter(|line| !line.trim().contains(char::is_whitespace)).map(str::trim);
    let sum = listed.or_else(alone)?;
    (sum.len() == 64 && sum.chars().all(|c| c.is_ascii_hexdigit())).then(|| sum.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::assets::pinned::Pinned;

    const LINUX: Platform = Platform { os: "linux", arch: "amd64" };

    fn pin(sha256: &[(&str, &str)]) -> Pin {
        let sha256 = sha256.iter().map(|(file, sum)| ((*file).to_owned(), (*sum).to_owned())).collect();
        Pin { version: "v1".into(), sha256 }
    }

    #[test]
    fn default_mirror_uses_the_publishers_urls() {
        let mirror = Mirror::new(None);
        let url = |program, version| release(&mirror, program, version, LINUX, &pin(&[])).url;
        assert_eq!(
            url(Program::Kubectl, "v1.34.4"),
            "https://dl.k8s.io/release/v1.34.4/bin/linux/amd64/kubectl"
        );
        assert_eq!(
            url(Program::Etcd, "v3.6.16"),
            "https://github.com/etcd-io/etcd/releases/download/v3.6.16/etcd-v3.6.16-linux-amd64.tar.gz"
        );
        assert_eq!(
            url(Program::Kwok, "v0.8.0"),
            "https://github.com/kubernetes-sigs/kwok/releases/download/v0.8.0/kwok-linux-amd64"
        );
        assert_eq!(
            url(Program::Kind, "v0.33.0"),
            "https://github.com/kubernetes-sigs/kind/releases/download/v0.33.0/kind-linux-amd64"
        );
    }

    #[test]
    fn kwok_without_a_pinned_checksum_has_none() {
        let mirror = Mirror::new(Some("http://mirror/"));
        let checksum = |pin: &Pin| release(&mirror, Program::Kwok, "v1", LINUX, pin).checksum;
        assert_eq!(checksum(&pin(&[])), Checksum::Unknown);
        assert_eq!(checksum(&pin(&[("kwok-linux-amd64", "ab")])), Checksum::Pinned("ab".into()));
    }

    #[test]
    fn pinned_checksum_wins_over_published_one() {
        let mirror = Mirror::new(None);
        let pin = pin(&[
            ("linux/arm64/kubectl", "of another platform"),
            ("linux/amd64/kubectl", "ab"),
            ("etcd-v1-linux-amd64.tar.gz", "cd"),
            ("d-linux-amd64", "of another file"),
            ("kind-linux-amd64", "ef"),
        ]);
        for (program, sum) in [(Program::Kubectl, "ab"), (Program::Etcd, "cd"), (Program::Kind, "ef")] {
            let pinned = release(&mirror, program, "v1", LINUX, &pin);
            assert_eq!(pinned.checksum, Checksum::Pinned(sum.into()));
            let other = release(&mirror, program, "v2", LINUX, &pin);
            assert!(matches!(other.checksum, Checksum::Published { .. }), "of another version: {program}");
        }
    }

    fn set_of(program: Program) -> ProgramSet {
        ProgramSet::ALL.into_iter().find(|set| set.programs().contains(&program)).unwrap()
    }

    #[test]
    fn versions_toml_pins_the_programs_that_have_two_sources() {
        let pinned = Pinned::read().unwrap();
        for arch in ["amd64", "arm64"] {
            let platform = Platform { os: "linux", arch };
            for program in [Program::Kubectl, Program::Kwok, Program::Kwokctl, Program::Kind] {
                let pin = pinned.pin(set_of(program));
                let release = release(&Mirror::new(None), program, &pin.version, platform, pin);
                let Checksum::Pinned(sum) = release.checksum else { panic!("{}", release.url) };
                assert!(sum.len() == 64 && sum.chars().all(|c| c.is_ascii_hexdigit()), "{sum}");
            }
        }
    }

    #[test]
    fn checksums_are_found_by_file_name_or_alone() {
        let (a, b) = ("a".repeat(64), "B".repeat(64));
        let listed = format!("{a}  etcd.zip\n{b} *etcd.tar.gz\n");
        assert_eq!(sum_of(&listed, "etcd.tar.gz"), Some("b".repeat(64)));
        assert_eq!(sum_of(&listed, "other"), None);
        assert_eq!(sum_of(&format!("{a}\n"), "kubectl"), Some(a));
        assert_eq!(sum_of("<html>not found</html>", "kubectl"), None);
    }
}

//! An application without a login that other computers reach, and sandboxes that reach it.

use super::checker::RuleChecker;
use crate::catalogue::Id;
use crate::diagnostic::Severity;
use crate::settings::format::IpRange;
use crate::settings::handsctl::{Expose, ExposureConsent, LoadBalancer, Profile, Provider, SandboxEgress};
use crate::settings::resolved::Settings;

/// The variable with the key that the application's API requires. Releases before 0.60 do not start with it.
pub const SESSION_KEY: &str = "SESSION_API_KEY";

/// Returns whether a diagnostic is about who would reach the application and its sandboxes after a deploy.
pub(crate) const fn is_about_exposure(id: Id) -> bool {
    matches!(id, Id::Exposed | Id::ReachableByOthers | Id::SandboxesReachApp)
}

/// Returns whether it does not matter who reaches the application: it has a login of its own, the configuration accepts
/// every exposure, or there is no application.
#[must_use]
pub fn accepts_exposure(settings: &Settings) -> bool {
    settings.deploy.profile == Profile::Dev
        || settings.deploy.exposure == ExposureConsent::Acknowledged
        || requires_key(settings)
}

/// Who can reach the application, as far as the configuration tells.
enum Reach {
    /// This computer, or clients inside the cluster.
    Contained,
    /// Other computers, but not all: the message names them. Or the cluster decides.
    Limited { key: &'static [&'static str], by: String },
    /// Whoever reaches the cluster's addresses.
    Open { key: &'static [&'static str], by: String },
}

impl RuleChecker<'_> {
    pub(crate) fn exposure(&mut self) {
        if self.settings.deploy.profile == Profile::Dev {
            return;
        }
        self.load_balancer();
        self.egress();
        if self.is_wrong("deploy.expose")
            || self.is_wrong("deploy.exposure")
            || accepts_exposure(self.settings)
        {
            return;
        }
        let consent =
            "put a proxy with a login before it, or accept this with [deploy] exposure = \"acknowledged\"";
        self.exposing_extra_manifests(consent);
        match self.reach() {
            Reach::Contained => {}
            Reach::Limited { key, by } => {
                let message = format!("OpenHands has no login, and {by}");
                self.report(Id::ReachableByOthers, Severity::Warning, key, message, consent);
            }
            Reach::Open { key, by } => {
                let message = format!("OpenHands has no login, but {by}");
                self.report(Id::Exposed, Severity::Error, key, message, consent);
            }
        }
    }

    fn reach(&self) -> Reach {
        let (deploy, cluster) = (&self.settings.deploy, &self.settings.cluster);
        let is_local =
            matches!(cluster.provider, Provider::Kind | Provider::Kwok) && cluster.context.is_none();
        let may_be_kind = matches!(cluster.provider, Provider::Kind | Provider::Auto);
        let is_on_loopback = self.is_wrong("cluster.http_address") || cluster.http_address.ip().is_loopback();
        let key = self.expose_key();
        match deploy.expose {
            Expose::None => Reach::Contained,
            Expose::LoadBalancer => {
                let ranges = &deploy.source_ranges;
                let is_limited = !ranges.is_empty() && !ranges.iter().any(IpRange::is_everything);
                match deploy.load_balancer {
                    _ if is_limited => Reach::Limited {
                        key: &["deploy", "source_ranges"],
                        by: "every computer of `deploy.source_ranges` can use it".to_owned(),
                    },
                    LoadBalancer::Internal => Reach::Limited {
                        key: &["deploy", "load_balancer"],
                        by: "every computer of the private network can use it".to_owned(),
                    },
                    LoadBalancer::Public => Reach::Open {
                        key,
                        by: "a load balancer exposes it to every computer that reaches its address"
                            .to_owned(),
                    },
                }
            }
            Expose::Route => {
                Reach::Open { key, by: "a Route exposes it to every client of the router".to_owned() }
            }
            // The ports of a kind cluster's nodes are not mapped to this computer's addresses.
            Expose::NodePort if is_local => Reach::Contained,
            Expose::NodePort => {
                Reach::Open { key, by: "a node port exposes it at every node's address".to_owned() }
            }
            Expose::Ingress if may_be_kind && !is_on_loopback => Reach::Open {
                key: &["cluster", "http_address"],
                by: format!("`cluster.http_address` {} is not loopback", cluster.http_address),
            },
            Expose::Ingress
                if is_local || self.is_wrong("deploy.host") || is_contained(deploy.host.as_str()) =>
            {
                Reach::Contained
            }
            Expose::Ingress => Reach::Limited {
                key: &["deploy", "host"],
                by: format!("whoever reaches the ingress controller can use it as {}", deploy.host),
            },
        }
    }

    /// The key that decides about the exposure: the profile presets `expose`.
    fn expose_key(&self) -> &'static [&'static str] {
        const EXPOSE: &[&str] = &["deploy", "expose"];
        if self.settings.locate_path(EXPOSE).is_some() { EXPOSE } else { &["deploy", "profile"] }
    }

    fn load_balancer(&mut self) {
        let deploy = &self.settings.deploy;
        if deploy.expose == Expose::LoadBalancer || self.is_wrong("deploy.expose") {
            return;
        }
        let set = [
            ("load_balancer", deploy.load_balancer != LoadBalancer::Public),
            ("source_ranges", !deploy.source_ranges.is_empty()),
        ];
        for (key, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
            let message = format!("`deploy.{key}` needs `expose = \"loadbalancer\"`");
            self.contradiction(&["deploy", key], message, "nothing else would apply it");
        }
    }

    fn egress(&mut self) {
        let deploy = &self.settings.deploy;
        if self.is_wrong("deploy.sandbox_egress") {
            return;
        }
        if !deploy.network_policy && deploy.sandbox_egress == SandboxEgress::None {
            let message = "`deploy.sandbox_egress` needs `network_policy = true`";
            self.contradiction(&["deploy", "sandbox_egress"], message, "nothing would enforce it");
        }
        if deploy.network_policy
            && self.settings.edition().has_sandbox_pods()
            && deploy.sandbox_egress == SandboxEgress::All
            && deploy.expose != Expose::None
        {
            let message = match deploy.expose {
                Expose::NodePort | Expose::LoadBalancer => {
                    "unrestricted sandboxes reach the application, which has no login, by its address"
                }
                _ => {
                    "unrestricted sandboxes reach the application, which has no login, through the ingress controller"
                }
            };
            let label = "the default \"internet\" keeps them from it; so does expose = \"none\"";
            let key = &["deploy", "sandbox_egress"];
            self.report(Id::SandboxesReachApp, Severity::Warning, key, message.to_owned(), label);
        }
    }
}

/// Whether the application's API requires a key.
fn requires_key(settings: &Settings) -> bool {
    if settings.edition().has_keys() {
        return true;
    }
    let is_set = settings.secrets.contains_key(SESSION_KEY)
        || settings.env.get(SESSION_KEY).is_some_and(|key| !key.is_empty());
    is_set && settings.app_version().is_at_least(0, 60)
}

/// Whether the name is reachable from this computer only: browsers resolve it to loopback without DNS (RFC 6761, section
/// 6.3). No Ingress has an IP address as its host, which is an error of its own.
pub(super) fn is_contained(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost") || host.parse::<std::net::Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use crate::catalogue::Id;
    use crate::settings::load::read::{Request, check_exposure_elsewhere, read, read_unapplied};

    /// The ids of a configuration's errors, or of its warnings if it has no error.
    fn ids(text: &str) -> Vec<Id> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        match read(&Request::default(), &[], folder.path()) {
            Ok(loaded) => loaded.warnings.iter().map(|warning| warning.id).collect(),
            Err(error) => error.diagnostics().iter().map(|diagnostic| diagnostic.id).collect(),
        }
    }

    const OPEN: &[&str] = &[
        "[deploy]\nprofile = \"gke\"\n",
        "[deploy]\nexpose = \"loadbalancer\"\n",
        "[deploy]\nexpose = \"loadbalancer\"\nsource_ranges = [\"10.0.0.0/8\", \"0.0.0.0/0\"]\n",
        "[deploy]\nexpose = \"loadbalancer\"\nsource_ranges = [\"::/0\"]\n",
        "[deploy]\nexpose = \"route\"\nhost = \"hands.example.org\"\n",
        "[deploy]\nexpose = \"nodeport\"\n",
        "[deploy]\nexpose = \"nodeport\"\n[cluster]\nhttp_address = \"0.0.0.0\"\n",
        "[deploy]\nexpose = \"nodeport\"\n[cluster]\nprovider = \"existing\"\n",
        "[deploy]\nexpose = \"nodeport\"\n[cluster]\nprovider = \"kind\"\ncontext = \"production\"\n",
        "[cluster]\nhttp_address = \"0.0.0.0\"\n",
        "[cluster]\nhttp_address = \"192.168.1.5\"\nprovider = \"kind\"\n",
        "[cluster]\nhttp_address = \"::\"\n",
    ];

    #[test]
    fn exposed_set_can_be_read_without_applying_it() {
        for text in OPEN {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("config.toml"), text).unwrap();
            let loaded = read_unapplied(&Request::default(), &[], folder.path());
            assert!(loaded.is_ok_and(|loaded| loaded.warnings.is_empty()), "{text}");
        }
    }

    #[test]
    fn exposure_without_login_is_an_error_until_acknowledged() {
        for text in OPEN {
            assert_eq!(ids(text), [Id::Exposed], "{text}");
            let acknowledged = format!("{text}[deploy.thresholds]\n");
            let acknowledged = if text.starts_with("[deploy]\n") {
                acknowledged.replacen("[deploy]\n", "[deploy]\nexposure = \"acknowledged\"\n", 1)
            } else {
                format!("{acknowledged}[deploy]\nexposure = \"acknowledged\"\n")
            };
            assert_eq!(ids(&acknowledged), [], "{acknowledged}");
        }
        let openshift = "[deploy]\nprofile = \"openshift\"\n";
        assert!(ids(openshift).contains(&Id::Exposed));
        assert_eq!(
            ids(&format!("{openshift}exposure = \"acknowledged\"\n")),
            [Id::SecurityContextConstraint]
        );
    }

    #[test]
    fn local_provider_does_not_excuse_another_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = |text: &str| {
            let text = format!("[cluster]\nprovider = \"kind\"\n[deploy]\n{text}");
            std::fs::write(folder.path().join("config.toml"), text).unwrap();
            let loaded = read(&Request::default(), &[], folder.path()).unwrap();
            assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
            match check_exposure_elsewhere(&loaded.settings) {
                Ok(warnings) => warnings.iter().map(|warning| warning.id).collect::<Vec<_>>(),
                Err(error) => error.diagnostics().iter().map(|diagnostic| diagnostic.id).collect(),
            }
        };
        assert_eq!(elsewhere("expose = \"nodeport\"\n"), [Id::Exposed]);
        assert_eq!(elsewhere("host = \"hands.example.org\"\n"), [Id::ReachableByOthers]);
        assert_eq!(elsewhere("expose = \"nodeport\"\nexposure = \"acknowledged\"\n"), []);
        assert_eq!(elsewhere("expose = \"none\"\n"), []);
    }

    #[test]
    fn limited_exposure_is_a_warning_until_acknowledged() {
        for text in [
            "expose = \"loadbalancer\"\nload_balancer = \"internal\"\n",
            "expose = \"loadbalancer\"\nsource_ranges = [\"203.0.113.0/24\"]\n",
            "host = \"hands.example.org\"\n",
            "host = \"hands.example.org\"\ntls_secret = \"tls\"\n[cluster]\nprovider = \"existing\"\n",
        ] {
            assert_eq!(ids(&format!("[deploy]\n{text}")), [Id::ReachableByOthers], "{text}");
            assert_eq!(ids(&format!("[deploy]\nexposure = \"acknowledged\"\n{text}")), [], "{text}");
        }
    }

    #[test]
    fn contained_application_and_session_key_need_no_consent() {
        for text in [
            "",
            "[deploy]\nhost = \"hands.localhost\"\n",
            "[deploy]\nhost = \"hands.test\"\n[cluster]\nprovider = \"kind\"\n",
            "[deploy]\nexpose = \"nodeport\"\n[cluster]\nprovider = \"kind\"\n",
            "[deploy]\nexpose = \"none\"\nhost = \"hands.example.org\"\n[cluster]\nhttp_address = \"0.0.0.0\"\n",
            "[cluster]\nhttp_address = \"::1\"\n",
            "[deploy]\nprofile = \"dev\"\n[cluster]\nhttp_address = \"0.0.0.0\"\n",
        ] {
            assert_eq!(ids(text), [], "{text}");
        }
        let with_key = |image: &str| {
            format!(
                "[deploy]\nexpose = \"loadbalancer\"\nimage = \"acme/openhands:{image}\"\n\
                 env = {{ SESSION_API_KEY = {{ secret = \"s\", key = \"k\" }} }}\n"
            )
        };
        assert_eq!(ids(&with_key("1.6")), [Id::WithoutV1]);
        assert_eq!(ids(&with_key("0.59")), [Id::Exposed], "0.59 has no such key");
    }

    #[test]
    fn keys_without_effect_are_contradictions() {
        assert_eq!(ids("[deploy]\nload_balancer = \"internal\"\n"), [Id::Contradiction]);
        assert_eq!(ids("[deploy]\nsource_ranges = [\"10.0.0.0/8\"]\n"), [Id::Contradiction]);
        let off = "[deploy]\nnetwork_policy = false\n";
        assert_eq!(ids(&format!("{off}sandbox_egress = \"none\"\n")), [Id::Contradiction]);
        assert_eq!(ids(&format!("{off}sandbox_egress = \"all\"\n")), []);
        let by_address =
            "[deploy]\nexpose = \"nodeport\"\nexposure = \"acknowledged\"\nsandbox_egress = \"all\"\n";
        assert_eq!(ids(by_address), [Id::SandboxesReachApp]);
        assert_eq!(ids("[deploy]\nsandbox_egress = \"all\"\n"), [Id::SandboxesReachApp]);
        assert_eq!(ids("[deploy]\nsandbox_egress = \"all\"\nexpose = \"none\"\n"), []);
    }
}

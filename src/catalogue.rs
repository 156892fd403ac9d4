//! Every id that handsctl can print: one table, never renumbered, never reused.
//!
//! The ranges: 01 configuration error, 02 configuration warning, 10 connection and authentication,
//! 20 local cluster and preflight, 30 apply and ownership, 40 rollout, 41 image, 42 crash, 43 scheduling,
//! 44 storage, 45 quota, policy and admission, 46 probe and network, 50 the application's answers,
//! 60 teardown, 90 internal.

/// One row of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// What is printed in brackets: `HC4103`.
    pub code: &'static str,
    /// What happened, in a few words; lowercase, no full stop.
    pub title: &'static str,
    /// What it means and how it is mended, in whole sentences.
    pub explanation: &'static str,
    /// The config.toml key that decides it, where there is one: `deploy.image`.
    pub key: Option<&'static str>,
    /// Whether bringing an earlier revision back helps, where a rollout fails with it.
    pub rollback: RollbackHelp,
}

/// Whether a rollout that failed succeeds with an earlier revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollbackHelp {
    /// It may: the cause can be in what was changed.
    Yes,
    /// It cannot: the cause is in the way of every revision.
    No,
    /// It cannot where the earlier revision has the same volume claims: a claim that is there does not change.
    UnlessSameClaims,
}

macro_rules! catalogue {
    ($($variant:ident $code:literal $title:literal $(key $key:literal)? $(rollback $help:ident)? $explanation:literal)*) => {
        /// The id of an error, a warning or a finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Id {
            $(#[doc = concat!("`", $code, "`: ", $title)] $variant,)*
        }

        impl Id {
            /// All ids in the order of the table.
            pub const ALL: &'static [Id] = &[$(Id::$variant),*];

            /// The row of this id.
            #[must_use]
            pub const fn entry(self) -> CatalogueEntry {
                match self {
                    $(Id::$variant => CatalogueEntry {
                        code: $code,
                        title: $title,
                        explanation: $explanation,
                        key: catalogue!(@key $($key)?),
                        rollback: catalogue!(@rollback $($help)?),
                    },)*
                }
            }
        }
    };
    (@key) => { None };
    (@key $key:literal) => { Some($key) };
    (@rollback) => { RollbackHelp::Yes };
    (@rollback $help:ident) => { RollbackHelp::$help };
}

catalogue! {
    // 01: configuration errors
    ConfigUnreadable "HC0101" "the config file cannot be read"
        "The file named by --config, or ./config.toml, exists but cannot be read. Check the path and the permissions."
    ConfigSyntax "HC0102" "the config file is not TOML"
        "The file could not be parsed. The application would log a warning and run with all defaults, so handsctl refuses it."
    UnknownTable "HC0103" "unknown table"
        "Neither OpenHands nor handsctl knows this table. Table names are case-sensitive: the application silently ignores [Kubernetes]."
    UnknownKey "HC0105" "unknown key"
        "No such key in this table. In [kubernetes] and [sandbox] the application would crash at start; elsewhere it would ignore the key or fall back to defaults."
    WrongType "HC0110" "wrong type"
        "The value has another type than the key asks for. OpenHands does not convert: `resource_cpu_request = 1` (an integer) stops it at start."
    BadValue "HC0111" "bad value"
        "The value has the right type but is not one of the allowed values, or does not follow the format that Kubernetes asks for."
    ExtraManifest "HC0112" "an extra manifest cannot be used" key "deploy.extra_manifests"
        "A file that [deploy].extra_manifests names cannot be read, is no object of Kubernetes, or has one that a set cannot have as a member."
    Contradiction "HC0130" "two settings contradict each other"
        "Each value is fine by itself, together they cannot work. The message names both."
    UnsupportedVersion "HC0131" "this version of OpenHands has no Kubernetes runtime" key "deploy.image"
        "OpenHands 0.45 to 1.6 can run conversations in pods of the cluster. Earlier versions could not yet, and 1.7 removed it. Choose a tag in that range."
    SecretUnavailable "HC0140" "a secret's value cannot be had"
        "A secret reference names an environment variable that is not set, a file that cannot be read, or is not one of the three forms { env = \"NAME\" }, { file = \"path\" }, { secret = \"name\", key = \"key\" }."
    ContextPinned "HC0150" "another context than the pinned one" key "cluster.context"
        "config.toml pins [cluster].context. A different --context is refused, so that nobody deploys to the wrong cluster by habit; `--set cluster.context=NAME` changes the pin on purpose."
    ContextMissing "HC0151" "no such context" key "cluster.context"
        "The kubeconfig has no context of that name. `kubectl config get-contexts` lists them; `handsctl up` makes a local cluster and its context."
    ContextNotChosen "HC0152" "no cluster was chosen" key "cluster.context"
        "A changing command would have used the kubeconfig's current context. That is asked about on a terminal and refused elsewhere: name it with --context or pin it in config.toml."
    TargetNotNamed "HC0153" "the set is not named"
        "Outside local clusters a changing command needs a config file, or both -n and --name: nobody should tear down the default set from the wrong folder."

    // 02: configuration warnings
    LiteralSecret "HC0213" "a secret is written in the config file"
        "The value was moved to a Secret and does not stand in any rendered manifest, but it still stands in the file. Use { env = \"NAME\" } or { file = \"path\" }."
    IgnoredByApp "HC0220" "the application ignores this key"
        "OpenHands' Kubernetes runtime does not use this key, or ignores the whole section because of it. Nothing breaks; nothing happens either."
    UnknownVariable "HC0221" "unknown environment variable"
        "The variable begins with HANDSCTL_ but names no key of [cluster], [deploy] or OpenHands' tables. It has no effect."
    VersionAssumed "HC0223" "the application's version is not known" key "deploy.image"
        "The image's tag is not of the form x.y or x.y.z, so the version cannot be read from it. It is treated as 1.6, and [sandbox].runtime_container_image has to be set."
    VolatileState "HC0224" "state is kept in memory" key "core.file_store"
        "With the memory store settings, conversations and sign-in secrets are lost whenever the pod is replaced."
    RuleWithoutField "HC0230" "a rule of [deploy.ownership] is for no field" key "deploy.ownership"
        "No object of the set has a field of this name, so the rule has no effect. Fields are written as in the table of a conflict, without the dot at the beginning."
    WithoutV1 "HC0225" "OpenHands is run without its V1 interface" key "deploy.image"
        "From 0.60 to 1.6 OpenHands has two interfaces, and only the older one runs conversations in pods. V1 conversations would run the agent in the application's own container, so V1 is switched off (ENABLE_V1=0)."

    MemoryOfOnePod "HC0226" "a running conversation is known to one pod only" key "deploy.replicas"
        "Several pods share what is stored in the bucket and the database. What runs is in the memory of the pod that started it: a request about it that reaches another pod does not find it."

    SecurityContextConstraint "HC0227" "OpenShift has to allow the application's user" key "deploy.profile"
        "The image's files belong to user 42420. OpenShift gives pods a user of its own choice unless their account may use an SCC such as nonroot-v2; the pod is then refused, and no pod appears."

    // 10: connection and authentication
    KubeconfigMissing "HC1001" "no kubeconfig"
        "No kubeconfig was found. --kubeconfig, KUBECONFIG and ~/.kube/config are read, in this order. `handsctl up` makes a local cluster."
    KubeconfigInvalid "HC1002" "the kubeconfig cannot be used"
        "The kubeconfig could not be read or a context, cluster or user in it is incomplete."
    Unreachable "HC1010" "the cluster does not answer"
        "No connection to the API server, or no answer in time. The server may be stopped, or a VPN or proxy may be missing."
    ConnectionLost "HC1012" "the connection to the API server was lost"
        "While the command waited, the API server stopped answering, or the way to it broke. The connection is made anew and the command goes on from what is there then; nothing is judged by what was seen before."
    Untrusted "HC1011" "the API server's certificate is not trusted"
        "The server answered with a certificate that the kubeconfig's certificate authority did not sign. Either the cluster was made anew under the same address, or something stands in between."
    Unauthenticated "HC1020" "the cluster does not know you"
        "The API server answered 401, or 403 as system:anonymous: the token or client certificate is wrong, expired or revoked."
    TokenExpired "HC1021" "the token has expired"
        "The token in the kubeconfig carries a time of expiry that has passed. Log in again."
    Forbidden "HC1030" "not allowed"
        "The API server knows who you are and refuses this request. The message names the rule that is missing."

    // 20: local cluster and preflight
    EngineMissing "HC2001" "no container engine is installed" key "cluster.provider"
        "A kind cluster's nodes are containers of Docker, Podman or nerdctl. With provider = \"kwok\" no engine is needed, and no container runs."
    EngineDown "HC2003" "the container engine does not answer" key "cluster.provider"
        "The engine is installed, and its server does not run, or is somewhere else than DOCKER_HOST or CONTAINER_HOST says."
    EngineDenied "HC2004" "the container engine may not be used by this user" key "cluster.provider"
        "The engine's socket belongs to another user or group."
    EngineTooOld "HC2005" "the container engine is too old" key "cluster.provider"
        "kind's nodes do not run on this version of the engine."
    PortBusy "HC2006" "a port of this computer is taken" key "cluster.http_port"
        "The cluster's ingress is reached through ports of this computer, and somebody else listens on one of them, or the address is not this computer's."
    ComputerTooSmall "HC2007" "this computer is too small for what config.toml asks for" key "deploy.resources"
        "The container engine has fewer processors or less memory than the cluster, the application and a sandbox need together."
    DiskFull "HC2008" "there is little room on the disk"
        "Nodes and images are kept where the container engine keeps its files."
    InotifyLow "HC2009" "the kernel's inotify limits are low"
        "Every node watches files. With the limits of many distributions the pods of a second or third node fail with `too many open files`."
    AssetMissing "HC2010" "a program of the local cluster is missing"
        "The programs are looked for in HANDSCTL_ASSETS, KUBEBUILDER_ASSETS, PATH and the cache, then downloaded from their official releases, then built through the Go module proxy when a Go toolchain is there."
    AssetChecksum "HC2011" "a download does not match its checksum"
        "The downloaded file was thrown away. Try again; if it happens again, something between you and the release server changes the file."
    ImageNotHere "HC2012" "this computer's container engine does not have the image"
        "`handsctl image load` brings images that the engine has to the nodes of a kind cluster. Pull or build it first, or let the nodes pull it with `handsctl image pull`."
    NoNodesHere "HC2013" "no node of the cluster is a container of this computer"
        "`handsctl image load` works with a kind cluster that runs. Nodes elsewhere pull images themselves: `handsctl image pull`."
    ImageNotBrought "HC2014" "the image did not get to the nodes"
        "The engine could not write the image to a file, or kind could not bring it to the nodes. Both need room on the disk, twice the size of the image for a moment."
    MirrordMissing "HC2015" "mirrord is not installed" key "deploy.profile"
        "handsctl dev runs a command under mirrord, which has to be on PATH."
    ClusterCreateFailed "HC2020" "the local cluster could not be made"
        "The message names the step and the log file that was kept."
    ClusterDiffers "HC2021" "the local cluster differs from config.toml"
        "The differences cannot be changed in place. `handsctl cluster up --recreate` deletes the cluster and makes it anew."
    ClusterNotOurs "HC2022" "a cluster of that name was not made by handsctl" key "cluster.name"
        "handsctl never touches a cluster that it did not make. Choose another [cluster].name, or use it with provider = \"existing\" and its context."
    ClusterDownRefused "HC2023" "this cluster is not handsctl's to delete" key "cluster.provider"
        "`cluster down` only deletes what `cluster up` made."
    StaleContext "HC2024" "the kubeconfig has a context of a cluster that is not there" key "cluster.name"
        "A context of that name was written by other means, and its cluster is gone. handsctl does not overwrite what it did not write."
    IngressRetired "HC2025" "ingress-nginx is retired" key "cluster.ingress"
        "The project ended in March 2026 and mends no vulnerabilities any more. It is made as OpenHands' own kind/ directory has it; traefik is the default."
    SimulatedNodes "HC2030" "simulated nodes" key "cluster.provider"
        "The cluster's nodes are simulated: every object is real, no container runs."
    PodSecurityTooStrict "HC2040" "the namespace's Pod Security level refuses sandboxes" key "kubernetes.namespace"
        "OpenHands' sandbox pods run as root and do not pass the restricted profile: the application would start and no conversation ever would."
    SandboxImageAbsent "HC2041" "the sandboxes' image is not on every node yet" key "sandbox.runtime_container_image"
        "The application gives a sandbox 300 s to become ready. The image has several gigabytes, and the first conversation on a node waits until it is pulled. `handsctl image pull` pulls it on every node, `handsctl image load` brings it from this computer's container engine."
    ConversationAtRisk "HC2042" "a conversation's volume would be deleted" key "deploy.on_stop"
        "With on_stop = \"clean\" the application is told that it stops, and answers by deleting the pod, the services and the volume of the first conversation that it started. While such a volume exists its pod is not stopped without --delete-data."
    ReleaseChanges "HC2043" "another release of the application" key "deploy.image"
        "The message names what changes beside the code: the registry, the sandboxes' image, where the application keeps its database. 0.60 to 1.6 have a second interface, which is switched off (HC0225)."
    ReleaseDowngrade "HC2044" "an older release of the application" key "deploy.image"
        "Releases change the form of what they keep on the volume, and only forwards. An older one may not start, or not see what a newer one has written. A copy of the volume is the way back."

    // 30: apply and ownership
    NamespaceTerminating "HC3001" "the namespace is being deleted" key "deploy.namespace"
        "Nothing can be created in a namespace that is terminating. Wait until it is gone, or choose another."
    NamespaceMissing "HC3002" "the namespace does not exist and may not be made" key "deploy.namespace"
        "The account may not see or create namespaces, and the server says that this one does not exist. An administrator has to create it."
    Rejected "HC3003" "the server rejected an object"
        "The object does not pass the API server's validation or admission. The message is the server's own."
    Locked "HC3004" "another run changes the set"
        "A Lease named after the set says who changes it. It expires by itself when its holder does not renew it, and a holder on this computer whose process is gone is replaced at once."
    LockLost "HC3005" "the lock was lost"
        "The Lease could not be renewed in time, or somebody else took or deleted it. Nothing more is sent then, because another run may be changing the set."
    ForeignObject "HC3006" "an object of that name belongs to somebody else"
        "An object of the same kind and name exists and was not made by this set. Not one byte of it was changed. `handsctl deploy --adopt` takes it over, unless another object owns it, another set has it, or it is being deleted."
    FieldConflict "HC3007" "others manage fields of an object" key "deploy.ownership"
        "Server-side apply refused because another manager owns fields that this set wants to set. --force-conflicts takes them over; [deploy.ownership] says for single fields whether they are taken over, left to others, or an error."
    ForeignSet "HC3008" "the set's parent belongs to another tool"
        "The parent ConfigMap carries another tooling's ApplySet annotation. handsctl only touches sets that it made."
    NoSuchRevision "HC3011" "there is no such revision"
        "`handsctl history` lists the revisions that are kept: as many as [deploy].revision_history says, beside the present one."
    RevisionIncomplete "HC3012" "a revision cannot be brought back"
        "A revision keeps manifests without the bodies of Secrets; the Secrets themselves are kept under names that follow from their content. One of them is gone, or the revision was too large to be kept."
    RevisionTooLarge "HC3013" "the revision is too large to be kept"
        "A Secret takes one mebibyte. The set is deployed, and its history has a line without content: there is no rollback to it."
    UnknownKind "HC3014" "the cluster does not have a kind" key "deploy.extra_manifests"
        "An object of [deploy].extra_manifests is of a kind that the API server does not serve in that version."
    ServerWarning "HC3010" "the API server warns"
        "The object was accepted, and the server says something about it in a Warning header: a deprecated version, or a Pod Security level that its pods would not pass."

    Adopted "HC3020" "an object of somebody else's was taken over"
        "With --adopt the object belongs to this set from now on. What helm or kubectl's client-side apply had set and the set's manifest does not have is removed from it."

    // 40: rollout
    ProgressDeadline "HC4001" "no progress before the deployment's deadline" key "deploy.progress_deadline"
        "The Deployment controller reports ProgressDeadlineExceeded: no new pod became available in time."
    DeadlinePassed "HC4002" "the command's deadline passed"
        "--timeout bounds the whole command. The message says what used the time; what was applied stays and goes on."
    NotReady "HC4003" "a container runs and does not become ready"
        "The readiness or startup probe fails for longer than its own numbers allow. The evidence shows the probe's last answer and the container's last lines."
    OldPodHeld "HC4004" "an old pod does not go away" rollback No
        "strategy Recreate waits until the old pods are gone. One of them is held by a finalizer or sits on a node that does not answer."
    PodFailed "HC4005" "a pod ended"
        "A pod that should run for ever ended, or was evicted."
    JobFailed "HC4006" "a job failed"
        "The Job reached its backoff limit or its deadline."
    Deleted "HC4007" "an object was deleted during the rollout" rollback No
        "Somebody deleted an object while handsctl waited for it."

    NothingDeployed "HC4008" "nothing is deployed"
        "There is no set of this name in this namespace. -n and --name choose another; `handsctl deploy` makes it."

    // 41: image
    ImageInvalidName "HC4101" "the image's name is not valid" key "deploy.image"
        "The kubelet cannot parse the image reference."
    ImageNeverPull "HC4102" "the image is not on the node and may not be pulled" key "deploy.image_pull_policy"
        "imagePullPolicy is Never and the node does not have the image."
    ImageNotFound "HC4103" "the image does not exist" key "deploy.image"
        "The registry answers that it has no such image or tag."
    ImageForbidden "HC4104" "the registry refuses to give out the image" key "deploy.image_pull_secrets"
        "The registry answers 401 or 403: the repository is private, or does not exist and the registry does not say so."
    ImageUnavailable "HC4105" "the image cannot be pulled" key "deploy.tolerate.image_pull"
        "The registry cannot be reached or answers with an error, for longer than [deploy.tolerate].image_pull."
    NotPrepulled "HC4106" "the image was not pulled before the old pod is stopped" key "deploy.prepull"
        "A short-lived pod pulls a changed image while the old pod is still serving. The cluster refused that pod, or no node took it; the rollout pulls the image itself, and meanwhile nothing serves."

    // 42: crash
    CrashLoop "HC4201" "the container starts and dies" key "deploy.tolerate.crash_restarts"
        "The container ended and was restarted as often as [deploy.tolerate].crash_restarts allows. Its last lines are the evidence."
    OutOfMemory "HC4202" "the container needs more memory than it may use" key "deploy.resources"
        "The kernel killed the container for memory (exit code 137) twice. Raise [deploy.resources].limits.memory."
    MissingReference "HC4203" "a Secret, ConfigMap or key that the container needs does not exist"
        "The kubelet cannot create the container before it is there."
    MountFailed "HC4204" "a volume cannot be mounted"
        "The kubelet cannot set up a volume of the pod; the event says why."
    ContainerCannotStart "HC4205" "the container cannot be started"
        "The container runtime refuses to start the process: the command does not exist in the image, or the image was built for another architecture."

    // 43: scheduling
    Unschedulable "HC4301" "no node can take the pod" key "deploy.tolerate.unschedulable"
        "The scheduler found no node with room, or with a matching selector, taint or volume."

    // 44: storage
    NoStorageClass "HC4401" "the claim has no storage class" key "deploy.storage_class" rollback UnlessSameClaims
        "The claim names no StorageClass and the cluster has no default one."
    StorageClassMissing "HC4402" "the storage class does not exist" key "deploy.storage_class" rollback UnlessSameClaims
        "The claim names a StorageClass that the cluster does not have."
    ProvisioningFailed "HC4403" "the volume cannot be provisioned" key "deploy.storage_class" rollback UnlessSameClaims
        "The provisioner reports an error; the event says which."
    ClaimLost "HC4404" "the claim lost its volume" rollback UnlessSameClaims
        "The PersistentVolume that the claim was bound to is gone."

    // 45: quota, policy, admission
    QuotaExceeded "HC4501" "a quota refuses the pods" key "deploy.resources"
        "A ResourceQuota of the namespace leaves no room. It heals by itself when the quota is raised."
    QuotaRefused "HC4502" "a quota refuses an object" key "deploy.resources"
        "A ResourceQuota of the namespace refuses one of the set's own objects."
    PodsRefused "HC4503" "the pods are refused"
        "Admission refuses the pods of the workload: Pod Security, a webhook, a policy, or a missing ServiceAccount or PriorityClass. The message is the server's own."

    // 46: probe and network
    ProbeFailed "HC4601" "the application does not answer"
        "The pod is ready but /alive did not answer through the API server."
    UrlSilent "HC4602" "the application's URL does not answer" key "deploy.host" rollback No
        "The application answers inside the cluster, and its URL does not lead to it from this computer: the ingress controller, DNS, a VPN or a load balancer is missing. `handsctl open` leads to it without them."
    NameNotResolved "HC4603" "the host's name does not lead to this computer" key "deploy.host"
        "The local cluster answers under the name of [deploy].host, and a browser has to find it there: a line in /etc/hosts, or a host that ends in .localhost."

    // 50: the application's answers
    SettingsNotGiven "HC5001" "the application was not given its settings" key "deploy.seed_settings"
        "The application takes model and key from its own settings, which handsctl gives it with POST /api/settings. It runs all the same: its settings page does it, too."

    // 60: teardown
    TeardownStuck "HC6001" "an object does not go away"
        "An object was deleted but still exists: a finalizer holds it. The message names the finalizer and who set it."

    // 90: everything else
    Usage "HC9001" "wrong usage"
        "The command line could not be understood, or a confirmation is needed and there is no terminal to ask on."
    Interrupted "HC9002" "interrupted"
        "A signal ended the command. Running it again completes the work."
    Io "HC9003" "a file or a stream failed"
        "Reading or writing a file, or starting a program, failed on this computer."
    Internal "HC9099" "an internal error"
        "Something happened that handsctl does not know how to classify. Please report it with the output of -v."
}

impl Id {
    /// What is printed: `HC4103`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.entry().code
    }

    /// What happened, in a few words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.entry().title
    }

    /// The id that prints as `code`, in either case.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|id| id.code().eq_ignore_ascii_case(code))
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_well_formed() {
        let mut seen = std::collections::BTreeSet::new();
        for id in Id::ALL {
            let entry = id.entry();
            assert!(seen.insert(entry.code), "{} stands twice", entry.code);
            assert_eq!(entry.code.len(), 6);
            assert!(entry.code.starts_with("HC") && entry.code[2..].bytes().all(|b| b.is_ascii_digit()));
            assert!(!entry.title.ends_with('.') && entry.explanation.ends_with('.'), "{}", entry.code);
        }
    }

    #[test]
    fn a_code_finds_its_id_in_either_case() {
        assert_eq!(Id::from_code("hc4103"), Some(Id::ImageNotFound));
        assert_eq!(Id::from_code("HC0000"), None);
    }
}

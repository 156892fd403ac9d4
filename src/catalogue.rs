//! All ids that handsctl can print, in one table. An id is never renumbered or reused.
//!
//! The ranges: 01 configuration error, 02 and 03 configuration warning, 10 connection and authentication,
//! 20 local cluster and preflight, 30 apply and ownership, 40 rollout, 41 image, 42 crash, 43 scheduling,
//! 44 storage, 45 quota, policy and admission, 46 probe and network, 50 the application's responses and
//! its backups, 60 teardown, 90 internal.

mod guides;

/// One entry of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// The code: `HC4103`.
    pub code: &'static str,
    /// The problem in a few words. Lowercase, no full stop.
    pub title: &'static str,
    /// The meaning and the fix, in whole sentences.
    pub explanation: &'static str,
    /// The config.toml key to change, if there is one: `deploy.image`.
    pub key: Option<&'static str>,
    /// Whether a rollback helps if a rollout fails with this id.
    pub rollback: RollbackHelp,
}

/// Whether a failed rollout can succeed with an earlier revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollbackHelp {
    /// It can, because the change may be the cause.
    Yes,
    /// It cannot, because the cause affects every revision.
    No,
    /// It cannot if the earlier revision has the same volume claims, because existing claims do not change.
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

            /// Returns the entry of this id.
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
        "The file could not be parsed. The application would log a warning and run with all defaults, so handsctl rejects it."
    UnknownTable "HC0103" "unknown table"
        "Neither OpenHands nor handsctl has this table. Table names are case-sensitive: the application silently ignores [Kubernetes]."
    UnknownKey "HC0105" "unknown key"
        "The table has no such key. In [kubernetes] and [sandbox] the application would crash at start; elsewhere it would ignore the key or fall back to defaults."
    WrongType "HC0110" "wrong type"
        "The value does not have the type of the key. OpenHands does not convert values: `resource_cpu_request = 1` (an integer) stops it at start."
    BadValue "HC0111" "bad value"
        "The value has the right type but is not one of the allowed values, or does not have the format that Kubernetes requires."
    ExtraManifest "HC0112" "an extra manifest cannot be used" key "deploy.extra_manifests"
        "A file in [deploy].extra_manifests cannot be read, is not a Kubernetes manifest, or has an object that cannot be a member of an installation."
    Contradiction "HC0130" "two settings contradict each other"
        "Each value is valid by itself, but they do not work together. The message names both."
    UnsupportedVersion "HC0131" "this version of OpenHands has no Kubernetes runtime" key "deploy.image"
        "OpenHands 0.45 to 1.6 can run conversations in pods of the cluster. Earlier versions do not have this runtime, and 1.7 removed it: from 1.7 on, RUNTIME=kubernetes means Docker, so the application answers and starts no conversation. Choose a tag in that range. What OpenHands recommends on Kubernetes since then is Agent Canvas: one pod that is the application and the sandbox of all its conversations. [deploy] edition = \"canvas\" deploys it; under another name it runs beside the present installation. Conversations, tokens of git providers and named models do not move there; handsctl gives it the model and the key of [llm]. docs/editions.md compares the two. `handsctl backup` saves what stays behind."
    Exposed "HC0170" "the application would be exposed without a login" key "deploy.exposure"
        "OpenHands has no login: whoever reaches it runs commands in sandboxes, reads conversations and uses its API key. Put a proxy with a login before it and set [deploy].expose to \"none\", restrict a load balancer with [deploy].source_ranges or [deploy].load_balancer, or accept it with [deploy] exposure = \"acknowledged\". Agent Canvas has a login: there the page that `deploy` or `doctor` loaded without a key contained the key, as some releases do on another port."
    ExposedByOthers "HC0172" "fields of others expose the application, which has no login" key "deploy.exposure"
        "A Service, an Ingress or the Deployment of the installation has fields that its manifest does not have: another type, externalIPs, another host, a hostPort, hostNetwork. Other managers own them, so an apply keeps them, and more computers reach the application than config.toml says. The message names the fields and who set them, and has the command that restores the planned values. Run it, or accept the exposure with [deploy] exposure = \"acknowledged\". `deploy` fails before it changes anything; `status` warns. Local clusters are not checked."
    ExposedByForeignObject "HC0173" "an object of others exposes the application, which has no login" key "deploy.exposure"
        "A Service or an Ingress in the installation's namespace leads to the application and is no part of the installation: a load balancer, a node port, externalIPs, a host. Whoever reaches it uses the application without a login. `handsctl deploy` changes no object of others; delete it, or accept it with [deploy] exposure = \"acknowledged\". Local clusters are not checked, and neither are objects of other namespaces and routes of other kinds, such as HTTPRoute."
    AccountOfSandboxes "HC0171" "pods of others can run under this account"
        "A pod can run under every ServiceAccount of its namespace, and OpenHands may create pods in the sandboxes' namespace. Whoever makes it create one would have the deployer's rights. Use a user, a group, or a ServiceAccount of a namespace in which nobody else creates pods. For the same reason profile dev, whose account may run commands in every pod of its namespace, is not deployed into a namespace where sandboxes of others run: choose another one."
    SecretUnavailable "HC0140" "a secret's value is not available"
        "A secret reference names an environment variable that is not set or a file that cannot be read, or it does not have one of the three forms { env = \"NAME\" }, { file = \"path\" }, { secret = \"name\", key = \"key\" }."
    SecretInReference "HC0141" "a secret is written where the name of its source belongs"
        "{ env = \"NAME\" } has the name of an environment variable, { file = \"path\" } a path, and { secret = \"name\", key = \"key\" } a Secret's name and one of its keys. The value is no such name and may be the secret itself, so handsctl does not print it. Export the secret as a variable, and write the variable's name."
    ContextPinned "HC0150" "the context is not the one of config.toml" key "cluster.context"
        "[cluster].context names the only context for this configuration. A different --context is rejected, to prevent a deploy to the wrong cluster by habit; `--set cluster.context=NAME` changes the key for one run."
    ContextMissing "HC0151" "no such context" key "cluster.context"
        "The kubeconfig has no context of that name. The name comes from --context, from [cluster].context or from the kubeconfig itself; the message says from which, and lists the contexts that exist. `handsctl up` does not create a context of a given name; it creates a local cluster only if no context is named."
    ContextNotChosen "HC0152" "no cluster was chosen" key "cluster.context"
        "A changing command would use the kubeconfig's current context. On a terminal handsctl asks for a confirmation; without a terminal the command fails. Name the context with --context, or in config.toml as [cluster].context."
    TargetNotNamed "HC0153" "the installation is not named"
        "Outside of local clusters a changing command needs a config file, or both -n and --name. This prevents a teardown of the default installation from the wrong folder."

    // 02: configuration warnings
    LiteralSecret "HC0213" "a secret is written in the config file"
        "The value was moved to a Secret and is in no rendered manifest, but it is still in the config file. Use { env = \"NAME\" } or { file = \"path\" }."
    SecretInManifest "HC0214" "an extra manifest has a secret in clear text" key "deploy.extra_manifests"
        "Everybody who may read the object reads the secret, and so does everybody who reads the file. Create a Secret by other means, and refer to it: a variable with valueFrom.secretKeyRef, an argument as $(NAME) of such a variable, a file with a volume. handsctl prints no such value, so `render` leaves the object out, as it does with Secrets. If the value is no secret, the annotation `handsctl.dev/secrets: none` of the object says so."
    SecretNotReadable "HC0330" "a secret that a deploy needs cannot be read"
        "`config check` read the variables and files of the secret references, as a deploy does. The named variable is not set, or the file cannot be read or is empty: `handsctl deploy` would fail with HC0140 before it changes anything. Export the variable, or write the file."
    Overridden "HC0332" "a changed key has no effect"
        "`config set` wrote the key, but another source has priority over the file: an environment variable HANDSCTL_…, or a variable of [deploy].env that OpenHands prefers to its config.toml. Unset the variable or remove the key of [deploy].env; `handsctl config show` prints each value with its source."
    IgnoredByApp "HC0220" "the application ignores this key"
        "OpenHands' Kubernetes runtime does not use this key, or ignores the whole section because of it. The key has no effect."
    LeftOut "HC0285" "a key is left out of the application's config.toml"
        "The application does not know the key, does not support it yet, or would take its empty text literally, and would ignore the whole table or start with a value that nobody means. handsctl leaves the key out, so that the rest of the table works. The key has no effect."
    LocalAddress "HC0286" "an address of this computer does not lead there from a pod"
        "In a pod, localhost, 127.0.0.1, [::1] and 0.0.0.0 are the pod itself, and host.docker.internal is a name that only desktop engines give their own containers. Use the name of a Service, the DNS name of the server, or, in a kind cluster, the gateway of the engine's network `kind`; the server must listen on that address too, not only on 127.0.0.1."
    UnknownVariable "HC0221" "unknown environment variable"
        "The variable begins with HANDSCTL_ but names no key of [cluster], [deploy] or OpenHands' tables. It has no effect."
    VersionAssumed "HC0223" "the application's version is unknown" key "deploy.version"
        "The image's tag does not begin with a version (x.y or x.y.z, as in 0.59, v0.59 or 0.59-dev). It is treated as 1.6, and [sandbox].runtime_container_image must be set. [deploy].version names the version in an image with another tag."
    NotCarried "HC0228" "a key has no place in this edition" key "deploy.edition"
        "Agent Canvas reads no config.toml. handsctl gives it the keys of [llm] and a few others by its API; docs/editions.md lists them. The named key has no place there, and no effect."
    VolatileState "HC0224" "state is kept in memory" key "core.file_store"
        "With the memory file store, settings, conversations and sign-in secrets are lost whenever the pod is replaced."
    RuleWithoutField "HC0230" "a rule of [deploy.ownership] matches no field" key "deploy.ownership"
        "No object of the installation has a field of this name, so the rule has no effect. Fields are written as in the table of a conflict, without the dot at the beginning."
    WithoutV1 "HC0225" "OpenHands runs without its V1 interface" key "deploy.image"
        "From 0.60 to 1.6 OpenHands has two interfaces, and only the older one runs conversations in pods. V1 conversations would run the agent in the application's own container, so V1 is switched off (ENABLE_V1=0)."

    MemoryOfOnePod "HC0226" "a running conversation is in the memory of one pod only" key "deploy.replicas"
        "The pods share the bucket and the database. A running conversation is only in the memory of the pod that started it, so a request that reaches another pod does not find it."

    SecurityContextConstraint "HC0227" "OpenShift must allow the application's user" key "deploy.profile"
        "The image's files belong to user 42420. OpenShift assigns another user to pods, unless their ServiceAccount may use an SCC such as nonroot-v2. Without it, OpenShift rejects the pod, and no pod is created."

    ReachableByOthers "HC0270" "other computers reach the application, which has no login" key "deploy.exposure"
        "OpenHands has no login: every client of the load balancer or the ingress controller can use it. If a proxy with a login is before it, or its clients are trusted, set [deploy] exposure = \"acknowledged\"."
    SandboxesReachApp "HC0271" "sandboxes reach the application" key "deploy.sandbox_egress"
        "With [deploy] sandbox_egress = \"all\" a sandbox reaches the ingress controller, a node port or a load balancer, which lead to the application. A sandbox runs commands that a model wrote; the application has no login."
    RightsOfSandboxes "HC0272" "an extra manifest gives rights to every sandbox" key "deploy.extra_manifests"
        "A sandbox runs under the ServiceAccount default of its namespace, and the account's token is mounted into it. A RoleBinding to this account, or to a group that includes it, gives its rights to commands that a model wrote. Bind the rights to another account."
    UrlSecret "HC0275" "a URL or another text contains a secret"
        "A password or key in a text stays where the text is: in the application's config.toml, which is a ConfigMap, or in the specification of a container. Everyone who may read ConfigMaps or pods can read it. Write the text without it, and use the key or variable for the secret; variables of [deploy].env and [mcp] are moved to a Secret as a whole."

    // 10: connection and authentication
    KubeconfigMissing "HC1001" "no kubeconfig"
        "No kubeconfig was found. --kubeconfig, KUBECONFIG and ~/.kube/config are read, in this order. `handsctl up` creates a local cluster."
    KubeconfigInvalid "HC1002" "the kubeconfig cannot be used"
        "The kubeconfig could not be read or a context, cluster or user in it is incomplete."
    Unreachable "HC1010" "the cluster is unreachable"
        "The connection to the API server failed, or its response timed out. The server may be stopped, or a VPN or proxy may be missing. A refused connection and an unknown host are reported at once while the server has not responded yet; dropped connections, 429, 503 and slow responses are repeated until the command's deadline."
    ConnectionLost "HC1012" "the connection to the API server was lost"
        "While the command waited, the API server stopped responding, or the network failed. handsctl reconnects, lists all objects again and continues from their current state; older observations do not count."
    Untrusted "HC1011" "the API server's certificate is not trusted"
        "The server's certificate is not signed by the kubeconfig's certificate authority. Either the cluster was recreated at the same address, or a proxy intercepts the connection."
    Unauthenticated "HC1020" "the cluster does not accept the credentials"
        "The API server responded with 401, or with 403 for system:anonymous: the token or client certificate is wrong, expired or revoked."
    TokenExpired "HC1021" "the token has expired"
        "The expiry time of the token in the kubeconfig has passed. Log in again."
    NotKubernetes "HC1081" "the server is not a Kubernetes API"
        "The server of the kubeconfig's cluster answers with a web page, a redirect or another text. Often it is the login of a proxy in front of the API, or the address of the web console."
    Forbidden "HC1030" "forbidden"
        "The API server accepts the credentials, but the account lacks a permission. The message names the missing rule."

    // 20: local cluster and preflight
    EngineMissing "HC2001" "no container engine is installed" key "cluster.provider"
        "A kind cluster's nodes are containers of Docker, Podman or nerdctl. With provider = \"kwok\" no engine is needed, and no container runs."
    EngineDown "HC2003" "the container engine does not respond" key "cluster.provider"
        "The engine is installed, but its server is not running, or responds with an error. Or a variable such as DOCKER_HOST or CONTAINER_HOST, or the current context, leads to another server."
    EngineForbidden "HC2004" "this user has no permission to use the container engine" key "cluster.provider"
        "The engine's socket belongs to another user or group."
    EngineTooOld "HC2005" "the container engine is too old" key "cluster.provider"
        "kind's nodes do not run on this version of the engine. Install a newer version."
    PortBusy "HC2006" "a port of this computer is in use" key "cluster.http_port"
        "The cluster's ingress uses ports of this computer. Another program listens on one of them, or the address does not belong to this computer."
    ComputerTooSmall "HC2007" "this computer is too small for config.toml" key "deploy.resources"
        "The container engine has fewer processors or less memory than the cluster, the application and a sandbox need together."
    DiskFull "HC2008" "there is little free disk space"
        "Nodes and images are stored in the container engine's data directory."
    InotifyLow "HC2009" "the kernel's inotify limits are low"
        "Every node watches files. With the default limits of many distributions, the pods of a second or third node fail with `too many open files`."
    AssetMissing "HC2010" "a program of the local cluster is missing"
        "handsctl searches the programs in HANDSCTL_ASSETS, KUBEBUILDER_ASSETS, PATH and its cache. Otherwise it downloads them from their official releases, or builds them through the Go module proxy if a Go toolchain is installed."
    AssetChecksum "HC2011" "a download does not match its checksum"
        "The downloaded file was deleted. Try again. If it happens again, a proxy between this computer and the release server changes the file."
    ImageNotInEngine "HC2012" "this computer's container engine does not have the image"
        "`handsctl image load` loads images from the engine into the nodes of a kind cluster. Pull or build it first, or let the nodes pull it with `handsctl image pull`."
    NoLocalNodes "HC2013" "no node of the cluster is a container on this computer"
        "`handsctl image load` needs a running kind cluster. Other nodes pull images themselves: `handsctl image pull`."
    ImageNotLoaded "HC2014" "the image was not loaded into the nodes"
        "The engine could not write the image to a file, or kind could not load it into the nodes. Both need disk space, temporarily twice the size of the image. Docker's containerd image store (the default since Docker 29) writes images of several platforms with the layers of one only; handsctl requests that platform from Docker 28 and newer."
    MirrordMissing "HC2015" "mirrord is not installed" key "deploy.profile"
        "handsctl dev runs a command under mirrord, which must be on PATH."
    ClusterCreateFailed "HC2020" "the local cluster could not be created or started"
        "The message names the failed step and the log file. `handsctl cluster up` starts what is not running, also after a failed start, and deletes nothing."
    ClusterDiffers "HC2021" "the local cluster differs from config.toml"
        "The differences cannot be changed in place. `handsctl cluster up --recreate` deletes the cluster with everything in it, also the application's data, and creates it again."
    ClusterNotManaged "HC2022" "a cluster of that name was not created by handsctl" key "cluster.name"
        "handsctl never changes a cluster that it did not create for this user of this computer: another program may have, or another user of the container engine. Choose another [cluster].name, or use it with provider = \"existing\" and its context."
    ClusterDownRejected "HC2023" "handsctl did not create this cluster and does not delete it" key "cluster.provider"
        "`cluster down` only deletes clusters that `cluster up` created for this user of this computer."
    StaleContext "HC2024" "the kubeconfig has a context of a cluster that does not exist" key "cluster.name"
        "Another tool wrote a context of that name, and its cluster no longer exists. handsctl does not overwrite contexts of other tools."
    ForeignContext "HC2065" "the kubeconfig has a context of that name that handsctl did not write" key "cluster.name"
        "The context, the cluster or the user of that name belongs to another cluster. handsctl neither overwrites it nor takes it for its own cluster. Rename it, delete it, or choose another [cluster].name."
    IngressRetired "HC2025" "ingress-nginx is retired" key "cluster.ingress"
        "The project ended in March 2026 and does not fix vulnerabilities any more. handsctl deploys it as OpenHands' own kind/ directory does; the default is traefik."
    EngineRemote "HC2090" "the container engine runs on another computer" key "cluster.provider"
        "docker's current context, podman's default connection, or a variable such as DOCKER_HOST or CONTAINER_HOST names an engine of another computer. The nodes run there, and kind publishes the ports of the API server and of the ingress controller there. What handsctl checks of this computer (ports, disk, inotify limits) says nothing about it."
    SimulatedNodes "HC2030" "simulated nodes" key "cluster.provider"
        "The cluster's nodes are simulated: objects are real, but no container runs. In a simulated cluster that handsctl created, the installation's Secret has placeholders instead of the configured secrets."
    PodSecurityTooStrict "HC2040" "the namespace's Pod Security level rejects sandboxes" key "kubernetes.namespace"
        "OpenHands' sandbox pods run as root and do not meet the restricted profile: the application would start, but no conversation would."
    SandboxImageAbsent "HC2041" "the sandboxes' image is not on every node yet" key "sandbox.runtime_container_image"
        "The application waits 300 s for a sandbox to become ready. The image has several gigabytes, and the first conversation on a node waits until it is pulled. `handsctl image pull` pulls it on every node; `handsctl image load` loads it from this computer's container engine."
    ServiceAccountMissing "HC2050" "the ServiceAccount does not exist" key "deploy.service_account"
        "With [deploy].service_account, the application's pod uses a ServiceAccount that an administrator created, with the rights of the Role that handsctl would create in the sandboxes' namespace. The server rejects a pod whose ServiceAccount does not exist."
    HostShared "HC2051" "another Ingress has the same host" key "deploy.host"
        "Two Ingresses of one class have the same host and path. The controller sends the requests to one of them, often the older one, so one of the two applications is unreachable. Choose another [deploy].host, or another class."
    ClaimMissing "HC2052" "the volume claim does not exist" key "deploy.existing_claim"
        "With [deploy].existing_claim, the application's pod mounts a volume claim that somebody else created, in the namespace of the installation. A pod whose volume claim does not exist starts on no node. Name a volume claim that exists, or unset the key: handsctl then creates one."
    ConversationAtRisk "HC2042" "a conversation's volume would be deleted" key "deploy.on_stop"
        "With on_stop = \"clean\" the application is notified before it stops, and deletes the pod, the services and the volume of the first conversation that it started. While such a volume exists, handsctl does not stop the application's pod without --delete-data."
    VersionChanges "HC2043" "the application's version changes" key "deploy.image"
        "The message names the changes other than the code: the registry, the sandboxes' image, the location of the application's database. Versions 0.60 to 1.6 have a second interface, which is switched off (HC0225)."
    VersionDowngrade "HC2044" "the application's version is downgraded" key "deploy.image"
        "New versions migrate the data on the volume, and no version migrates it back. An older version may not start, or not find data of a newer one. `handsctl backup` before the upgrade and `handsctl restore FILE` after a downgrade are the safe way back."
    ClaimDeleted "HC2045" "the volume claim is being deleted"
        "Somebody deleted a volume claim of the installation. It exists, with its data, only as long as a pod uses it, and the deletion cannot be taken back. handsctl does not stop that pod without --delete-data. Copy the data out of the pod first; `handsctl deploy --delete-data` then stops the pod and creates a new, empty volume."
    NewVolume "HC2046" "the volume is new"
        "An earlier revision of the installation had a volume claim that no longer exists, and this run creates it anew. The new volume is empty: the settings and conversations of the earlier one are gone, or are in a volume that the storage class retained. Sandboxes of earlier conversations still exist and belong to no conversation any more."
    ConversationInterrupted "HC2047" "conversations are interrupted"
        "The run stops the application's pod. A conversation that is at work is interrupted, and its agent is stopped afterwards. Its sandbox keeps running, with its files and its image, and the conversation starts again when it is opened. Conversations of Agent Canvas run in the pod itself: their messages and files stay on its volume. Wait until the agents are done to interrupt nobody."
    NodeStopAtRisk "HC2049" "a node that stops deletes a conversation's volume"
        "The revision was recorded by an earlier version of handsctl. Its container blocks no SIGTERM that its node sends when it shuts down, reboots or is `docker stop`ped, and on SIGTERM the application deletes the pod, the services and the volume of the first conversation that it started. `handsctl deploy` applies config.toml with a container that blocks the signal."

    ClockSkew "HC2070" "the clocks of this computer and of the API server differ"
        "A new token or certificate is valid from the time at which it was issued. If the two clocks differ, one of the two rejects it, and the ages that handsctl and kubectl print are wrong. Correct the clock that is wrong; most systems do it with NTP."
    VersionUntested "HC2071" "the API server's version is far from the tested one"
        "handsctl is tested with one minor version of Kubernetes. The API that it uses is stable, so versions near it work as well. A version that is far from it may lack a field, or reject one."
    IngressClassMissing "HC2072" "no ingress class for the installation's Ingress" key "deploy.ingress_class"
        "An Ingress names the class of its controller, or uses the default class. If the class does not exist, the API server accepts the Ingress, and nobody serves it: the URL does not respond."
    IngressWithoutController "HC2073" "the ingress class has no running controller" key "deploy.ingress_class"
        "The class exists, but no pod of its controller is ready, so nobody serves the Ingress. A controller was removed and its class was left, or its pods fail."
    ClusterDnsDown "HC2074" "the cluster's DNS does not run"
        "Pods resolve names with the DNS service of the cluster. None of its pods is ready. The application starts and cannot reach its model, its database or its sandboxes."
    PoliciesNotEnforced "HC2075" "the network plugin enforces no policies" key "deploy.network_policy"
        "A NetworkPolicy limits what sandboxes reach. It is an object that the cluster's network plugin must enforce, and some plugins, such as flannel, enforce none. Nothing reports that: the API server accepts the policy. Sandboxes, which run commands that a model wrote, reach everything that the cluster reaches."
    MetricsMissing "HC2076" "autoscaling has no metrics" key "deploy.autoscaling"
        "A HorizontalPodAutoscaler reads the use of cpu and memory from the metrics API, which metrics-server serves. Without it the number of pods does not change."
    NodesNotReady "HC2077" "nodes are not ready"
        "A node that is not ready gets no pods, and its pods are replaced elsewhere after some minutes. Its kubelet does not run, does not reach the API server, or reports a fault, such as a full disk."
    NoSandboxRoom "HC2078" "no room for a sandbox" key "kubernetes.resource_memory_request"
        "The scheduler places a pod on a node whose unreserved cpu and memory cover the pod's requests. No node has as much left as a sandbox requests. The application runs, and a conversation fails after it has waited 300 s for its sandbox."
    SandboxQuota "HC2079" "a quota has no room for a sandbox"
        "A ResourceQuota limits what all pods of a namespace may request. The API server rejects the pod of a new conversation. Raise the quota, lower what [kubernetes] requests for a sandbox, or end other conversations."
    DomainNotResolved "HC2080" "the sandboxes' domain does not resolve" key "kubernetes.ingress_domain"
        "Each sandbox has hosts of its own below [kubernetes].ingress_domain, which a browser opens. This needs a wildcard entry in the DNS, such as *.example.org, that leads to the ingress controller. Without it conversations run, and the editor and the web applications in them cannot be opened."

    PodUnconnected "HC2081" "a pod has no connection"
        "`doctor` connects from the application's pod to the API server and to the application's own Service. A connection fails if a NetworkPolicy of the namespace holds it back, or if the network of the cluster does not work."

    InstallationUnhealthy "HC2082" "the installation is not healthy"
        "`doctor` judges the deployed installation as `status` does. A metric exceeds its threshold, or the application does not answer, and no fault of an object explains it."
    RevisionFailed "HC2083" "the newest revision failed"
        "The last deploy ended with a failed rollout. What serves now is an earlier revision that was restored, or the failed one, which has become ready since."
    SandboxLimits "HC2084" "a limit range rejects sandboxes"
        "A LimitRange bounds what each container, pod or volume claim of a namespace may request. The API server rejects a sandbox outside of the bounds, so every conversation fails. Change what [kubernetes] requests for a sandbox, or let an administrator change the limit range."
    KubeletSkew "HC2085" "a kubelet's version is not supported with the API server's"
        "Kubernetes supports kubelets up to three minor versions older than the API server, and none that is newer. Others may not understand a field of a pod, or not report a condition."

    // 30: apply and ownership
    NamespaceTerminating "HC3001" "the namespace is being deleted" key "deploy.namespace"
        "Nothing can be created in a namespace that is terminating. `deploy` and `up` wait until it is gone and create it again, for as long as --timeout allows. Its volumes are deleted with it."
    NamespaceMissing "HC3002" "the namespace does not exist and cannot be created" key "deploy.namespace"
        "The account has no permission to read or create namespaces, and the server reports that this one does not exist. An administrator must create it."
    Rejected "HC3003" "the server rejected an object"
        "The object fails the API server's validation or admission. The message is the server's own."
    Locked "HC3004" "another run changes the installation"
        "A Lease named after the installation is the lock. It expires if its holder does not renew it. A holder on this computer whose process has ended is replaced at once. `--lock-wait 10m` waits for the other run to end."
    LockLost "HC3005" "the lock was lost"
        "Another run acquired the Lease, or it was deleted. handsctl sends no more changes, because another run may be changing the installation. An outage of the API server alone does not cost the lock."
    ForeignObject "HC3006" "an object of that name belongs to someone else"
        "An object of the same kind and name exists and is not a member of this installation. It was not changed. `handsctl deploy --adopt` adopts it, unless it has an owner, is a member of another installation, or is being deleted."
    FieldConflict "HC3007" "another manager owns fields of an object" key "deploy.ownership"
        "Server-side apply reported a conflict: somebody else changed fields that this installation sets. --force-conflicts overwrites them. [deploy.ownership] decides for single fields whether they are overwritten, left as they are, or an error."
    ForeignSet "HC3008" "the installation's record belongs to another tool"
        "The ConfigMap handsctl-NAME has the ApplySet annotation of another tool. handsctl only changes installations that it created."
    NoSuchRevision "HC3011" "there is no such revision"
        "`handsctl history` lists the stored revisions. Without a number, `handsctl rollback` restores the last good one whose content differs from the deployed one. [deploy].revision_history sets how many good ones are kept beside the deployed one."
    RevisionIncomplete "HC3012" "a revision cannot be restored"
        "A revision stores manifests without the data of Secrets. The Secrets themselves are kept in the cluster, under names derived from their content. One of them was deleted, or the revision was too large to store."
    RevisionUnreadable "HC3024" "a revision cannot be read"
        "A newer version of handsctl wrote the content of the revision. `history` lists it, and no rollback restores it. The other revisions are not affected."
    ForeignRevision "HC3060" "a Secret is not a revision of the installation"
        "Its type and labels are those of a revision, or it takes the name of the next one. A revision also has the name handsctl-<set>-r<number>, an annotation with the same number, is immutable, and has a MAC under the installation's key over its number and its content. This Secret was created by something else, was changed, or is a copy. Nothing of it is applied. Without the installation's key, the Secret handsctl-NAME, or with another key than the installation's record names, no revision can be authenticated; a copy of the key from a backup makes them usable again."
    RevisionRejected "HC3061" "a revision has objects that no member of the installation can be"
        "A rollback restores what a deploy of the installation can contain: objects of namespaced kinds, in the configured namespaces or where the installation still has members, with the labels of members. The revision has others, so nothing of it is applied. If it is from a time with another [kubernetes].namespace, set that key for the rollback: --set kubernetes.namespace=NAME. Otherwise somebody who can read the installation's key has forged it."
    AdditionsNotAccepted "HC3062" "a rollback would add rights, images or an exposure"
        "The revision has a Role, a RoleBinding or a ServiceAccount of the pod that grants more than the configuration and the deployed installation, a container with an image of another repository, or a Service, an Ingress or a Deployment that exposes the application more, although it has no login. This is so after a change of [deploy].service_account, [deploy].image, [deploy].expose or of extra manifests, and if somebody who can read the installation's key has forged the revision. The message names what is added; `rollback --yes` accepts it. An automatic rollback accepts only what the installation had before its run, and warns of an exposure (HC0270)."
    SandboxesUnlimited "HC3063" "sandboxes run without a policy" key "deploy.network_policy"
        "The NetworkPolicy that limits what sandboxes reach is a part of the installation and was deleted with it. Sandboxes that still run reach everything now: the cluster's Services, its nodes, metadata servers. Delete their pods; the files of their conversations are in volume claims, which stay."
    RevisionTooLarge "HC3013" "the revision is too large to store"
        "A Secret has a limit of 1 MiB. The installation is deployed, but its history has this revision without content, and a rollback to it is not possible."
    UnknownKind "HC3014" "the cluster does not serve a kind" key "deploy.extra_manifests"
        "An object of [deploy].extra_manifests is of a kind that the API server does not serve in that version."
    EncryptionKeyChanged "HC3018" "the key of the application's volume is missing or another one"
        "Agent Canvas encrypts the secrets that it stores, such as the model's key. The key is in the Secret NAME-keys, and an annotation of the volume claim has its fingerprint. With another key the application would start and silently have no secrets any more, so nothing is changed. Put the Secret back as it was; handsctl makes a new one only for a volume that has no secrets yet."
    EditionChanges "HC3019" "the installation has another edition of OpenHands" key "deploy.edition"
        "The editions of OpenHands are different applications: none reads the conversations, settings or tokens of another. `deploy` replaces one by another only with --change-edition. The new one gets a volume claim of its own; the earlier claim is kept, and `handsctl rollback` mounts it again."
    ResultNotRecorded "HC3017" "the revision's result was not recorded"
        "The run ended, but the server did not accept the result of its revision. The next run decides about the revision by the state of the cluster."
    CleanupFailed "HC3016" "an old object or revision was not deleted"
        "The new installation works and is recorded as good. An object that is no longer configured, or a revision that is no longer kept, still exists. The next deploy deletes it."
    MemberDeleted "HC3015" "an object of the installation is being deleted"
        "Somebody deleted the object, and a finalizer holds it. `deploy` waits until it is gone and creates it anew, for as long as --timeout allows. The message names the finalizer and the manager that set it: usually a controller that has to release something outside of the cluster first."
    ServerWarning "HC3010" "the API server warns"
        "The object was accepted, but the response has a Warning header: about a deprecated version, or a Pod Security level that its pods would violate."

    Adopted "HC3020" "an object of someone else was adopted"
        "With --adopt the object becomes a member of this installation. Fields that helm, `kubectl apply` or `kubectl create` had set, and that the installation's manifest does not have, are removed."

    LockUnconfirmed "HC3021" "the lock could not be renewed in time"
        "The API server did not answer the renewal of the Lease. Another run may acquire an expired lock, so handsctl holds back its writes. When the server responds again and nobody has acquired the lock, the command continues; otherwise it ends with exit code 13."
    LockNotReleased "HC3022" "the lock was not released"
        "The command has ended, but its Lease was not deleted: the API server did not respond, or the Lease kept changing. The lock expires by itself. The next command on the same computer acquires it at once."

    WebhookFailed "HC3080" "an admission webhook does not respond"
        "The API server calls a webhook for each change, and this one does not respond: its service has no ready pod, or its certificate is wrong."

    // 40: rollout
    ProgressDeadline "HC4001" "no progress before the deployment's deadline" key "deploy.progress_deadline"
        "No new pod became available within the time that the Deployment allows for progress, and no fault of a pod explains it."
    DeadlinePassed "HC4002" "the command timed out"
        "--timeout limits the whole command. The error names the step that did not finish, and the request that waited for the API server. Applied objects stay."
    NotReady "HC4003" "a container runs but does not become ready"
        "The readiness or startup probe fails for longer than allowed. The evidence shows the probe's last result and the container's last log lines."
    OldPodStuck "HC4004" "an old pod does not terminate" rollback No
        "The rollout waits for an old pod that is deleted and does not end, because of a finalizer or because its node does not respond."
    PodFailed "HC4005" "a pod failed"
        "A pod that should keep running has failed or was evicted."
    JobFailed "HC4006" "a job failed"
        "A Job of the installation has given up, after too many failures or too long a time."
    MemberMissing "HC4020" "an object of the installation does not exist" rollback No
        "The newest revision has the object, and somebody deleted it since."
    RolloutPaused "HC4021" "the rollout is paused" rollback No
        "The Deployment replaces no pod until somebody resumes its rollout."
    ScaledToZero "HC4022" "the application is scaled to zero"
        "The Deployment has 0 replicas, so no pod serves. A scale through the API's scale subresource to 0 leaves no field manager, so the name of its caller may be unknown. `handsctl deploy` stops at such a field (HC3007), unless --force-conflicts or a rule of [deploy.ownership] decides about it."
    ChangedByOthers "HC4023" "another manager changed a field of the installation"
        "A field of an object has another value than in the newest revision, and the API server recorded who set it."
    PodChangedByOthers "HC4027" "another manager added to the pods of the installation"
        "The live workload, or one of its pods, has a container or a field that the newest revision does not have: a sidecar, an init container, an ephemeral container, a volume, hostPID. A container in the application's pod reads its traffic and can read its environment, and so its keys."
    VariablesChangedByOthers "HC4028" "another manager set variables of a container"
        "A container has a variable that the newest revision does not have or has otherwise. A value that is written in the Deployment is readable for everyone who may read Deployments."
    NotWatched "HC4024" "an object is applied, not watched" key "deploy.extra_manifests"
        "handsctl follows workloads and volume claims until they are ready, and objects of other controllers by their conditions Ready or Available. Nothing tells whether this one works."
    StillTerminating "HC4025" "a removed object still terminates"
        "An object that was removed from the installation still exists. The deploy does not fail because of it."
    EvidenceMissing "HC4090" "evidence cannot be read"
        "What would explain a fault could not be read. The verdict is the same, and a failure is explained with less evidence."
    ManagedByOthers "HC4026" "the installation was not applied by handsctl"
        "Another tool applied the objects of the installation: a GitOps controller, kubectl, Helm, or a restore from a backup."

    ConversationStuck "HC4030" "a conversation cannot start again"
        "The pod of its sandbox has failed, or was on a node that was stopped or drained. What is left of it blocks the conversation."

    NotReadyByController "HC4031" "an object's controller reports that it is not ready" key "deploy.extra_manifests" rollback No
        "An object of another controller has the condition Ready=False or Available=False, or the condition Stalled or Failed."
    AutoscalerInactive "HC4032" "the autoscaler cannot scale" key "deploy.autoscaling"
        "The HorizontalPodAutoscaler has no use of its target to compare, or cannot reach the target. The number of pods stays as it is."
    CronJobFailed "HC4033" "the last run of a CronJob did not succeed" key "deploy.extra_manifests"
        "The CronJob controller has recorded a run that ended, and no success of it."
    BudgetNotComputed "HC4034" "the disruption budget cannot be computed" key "deploy.extra_manifests"
        "The controller cannot count the pods of a PodDisruptionBudget, so it allows no eviction: a drain of their node waits."

    Deleted "HC4007" "an object was deleted or is being deleted" rollback No
        "A user or another tool deleted an object of the installation."

    NothingDeployed "HC4008" "nothing is deployed"
        "There is no installation of this name in this namespace. -n and --name select another one; `handsctl deploy` creates it."

    // 41: image
    ImageInvalidName "HC4101" "the image's name is not valid" key "deploy.image"
        "The name of a container's image is malformed."
    ImageNeverPull "HC4102" "the image is not on the node and must not be pulled" key "deploy.image_pull_policy"
        "The pull policy of the container is Never, and its node does not have the image."
    ImageNotFound "HC4103" "the image does not exist" key "deploy.image"
        "The registry has no image of that name, tag and platform."
    ImageForbidden "HC4104" "the registry denies access to the image" key "deploy.image_pull_secrets"
        "The registry responds with 401 or 403: the repository is private, or its name is wrong."
    ImageUnavailable "HC4105" "the image cannot be pulled" key "deploy.tolerate.image_pull"
        "The registry is unreachable or responds with an error, for longer than [deploy.tolerate].image_pull."
    NotPrepulled "HC4106" "the image was not pulled before the old pod stops" key "deploy.prepull"
        "handsctl pulls a changed image while the old pod is still serving, and this was not possible. The rollout pulls the image itself."
    ImageReplaced "HC4107" "the pod runs an earlier build of its image" key "deploy.image"
        "An image was rebuilt under the same name and loaded onto the node. A running pod keeps the image that it was started with, and a deploy changes nothing, because the name is the same. `handsctl up` replaces the pod by itself."

    // 42: crash
    CrashLoop "HC4201" "the container crashes in a loop" key "deploy.tolerate.crash_restarts"
        "The container ends again and again, shortly after each start. The evidence shows its last log lines."
    OutOfMemory "HC4202" "the container needs more memory than its limit" key "deploy.resources"
        "The kernel killed the container because it exceeded its memory limit."
    MissingReference "HC4203" "a Secret, ConfigMap or key that the container needs does not exist"
        "Nothing starts the container before somebody creates what is missing."
    MountFailed "HC4204" "a volume cannot be mounted"
        "A container of the pod starts only with all of its volumes, and one of them is not available on its node."
    ContainerCannotStart "HC4205" "the container cannot be started"
        "Usually the command does not exist in the image, or the image was built for another architecture."

    // 43: scheduling
    Unschedulable "HC4301" "the pod fits on no node"
        "The scheduler found no node with enough free resources, a matching selector, tolerated taints and a reachable volume."

    // 44: storage
    NoStorageClass "HC4401" "the volume claim has no storage class" key "deploy.storage_class" rollback UnlessSameClaims
        "The volume claim names no StorageClass, and the cluster has no default one."
    StorageClassMissing "HC4402" "the storage class does not exist" key "deploy.storage_class" rollback UnlessSameClaims
        "[deploy].storage_class, or the volume claim of an extra manifest, names a StorageClass that the cluster does not have."
    ProvisioningFailed "HC4403" "the volume cannot be provisioned" key "deploy.storage_class" rollback UnlessSameClaims
        "The storage class exists, and its provisioner reports an error for this volume claim."
    ClaimLost "HC4404" "the volume claim lost its volume" rollback UnlessSameClaims
        "Somebody deleted the PersistentVolume to which the volume claim was bound, with or without the data."

    VolumeNotShared "HC4420" "more pods than the volume allows"
        "The pods mount a volume claim whose volume only one node, or one pod, can use at a time."

    // 45: quota, policy, admission
    QuotaExceeded "HC4501" "a quota rejects the pods" key "deploy.resources"
        "A ResourceQuota of the namespace is used up, or requires what the pods do not say."
    QuotaRejected "HC4502" "a quota rejects an object" key "deploy.resources"
        "The namespace has a ResourceQuota without room for an object of the installation."
    PodsRejected "HC4503" "the pods are rejected"
        "Admission rejects the pods of the workload: Pod Security, a webhook, a policy, a limit range, or a missing ServiceAccount or PriorityClass."

    // 46: probe and network
    ProbeFailed "HC4601" "the application does not respond"
        "The pod is ready, but the application did not respond through the API server."
    UrlUnreachable "HC4602" "the application's URL is unreachable" key "deploy.host" rollback No
        "The application responds inside the cluster, but its URL is unreachable from this computer: the ingress controller, DNS, a VPN or a load balancer is missing."
    ServiceLeadsNowhere "HC4604" "the Service does not lead to its pods" rollback No
        "Nobody reaches the application by this Service, although its pods may run."
    RouteLeadsElsewhere "HC4605" "the Ingress or Route leads elsewhere" rollback No
        "The URL does not lead to the application: a rule is missing or leads elsewhere, or another controller serves the Ingress."
    NameNotResolved "HC4603" "the host does not resolve to this computer" key "deploy.host"
        "The local cluster serves [deploy].host, and a browser must be able to resolve it: a line in /etc/hosts is missing."

    // 50: the application's answers
    SettingsNotSaved "HC5001" "the application's settings were not saved" key "deploy.seed_settings"
        "The application reads model and key from its own settings, which handsctl saves by its API, /api/settings. The application runs without them; its settings page can save them as well."
    SettingNotTaken "HC5002" "the application did not take a setting" key "deploy.seed_settings"
        "Agent Canvas answers a change of its settings with all of them, and drops fields that it does not know. The named fields have another value in its answer, so this release does not have them, or limits their values. A field that config.toml no longer has is reset to its default; a profile that an agent on its page uses cannot be deleted."
    ModelKeyUnreadable "HC5003" "the application has no key of the model" key "llm.api_key"
        "Agent Canvas got the key of the model and reports that it has none. Somebody removed it on its settings page, or it cannot read it because the key that encrypts its volume is another one."
    AppKeyRejected "HC5004" "the application does not accept its key"
        "Agent Canvas answers 401 to the key of the Secret NAME-keys: its pod runs with another one. Nobody who reads the key from the Secret can use it."
    AutomationDown "HC5005" "the automation of Agent Canvas does not answer"
        "Agent Canvas has a second server, which runs scheduled tasks. Its page and its conversations work without it; scheduled tasks do not run. `handsctl logs` shows why it ended, and `handsctl restart` starts it again."
    BackupInvalid "HC5030" "the file is not a complete backup"
        "`restore` reads the whole file before it changes anything: every file's size and checksum must be as the manifest at the end of the file lists them. A file that is damaged, cut off or of another kind is refused, and so is one with a path that leads out of the volume. `handsctl restore FILE --dry-run` checks a file without a cluster."
    BackupIncomplete "HC5031" "the backup is not consistent or not complete"
        "The application wrote to files while they were copied, or files were left out; the message names them, and so does the file's manifest. `handsctl backup --stop` stops the application meanwhile, and its copy is consistent."
    VolumeHoldsData "HC5032" "the volume holds data"
        "`restore` replaces everything on the volume. While the volume has settings or conversations, it needs --delete-data, which deletes them."
    RestoreFailed "HC5033" "the restored files differ from the backup"
        "`restore` reads the written files back before they take the place of the earlier ones. A difference means that the volume does not store what is written to it. The present files of this volume and the settings are unchanged. Volumes of conversations that were replaced before are named; their earlier files are still on them."
    ApplicationStopped "HC5034" "the application is still stopped"
        "`backup --stop` and `restore` scale the application's Deployment to zero and back. This time it was not scaled back: `handsctl deploy` does it."
    VolumeCommandFailed "HC5035" "the files of a volume cannot be read or written"
        "handsctl reads and writes a volume with commands in a container that mounts it: sh, and Python or tar. The message has the first lines of the command's errors: mostly the volume is full, or files belong to another account."
    SnapshotUnavailable "HC5036" "the cluster takes no snapshot of this volume"
        "A snapshot needs three things that an administrator installs: the API of VolumeSnapshots, the snapshot controller, and a VolumeSnapshotClass of the driver that has made the volume. Drivers that keep a volume in a folder of a node have none. `handsctl backup FILE` copies the files of every volume."
    SnapshotFailed "HC5037" "the volume snapshot was not taken"
        "The snapshot controller or the storage driver reports an error that stays, or none of them answers. The message has their words. `backup --snapshot` deletes what it has created. `handsctl backup FILE` copies the files without a snapshot."
    SnapshotUnusable "HC5038" "the volume snapshot cannot be restored"
        "`restore --snapshot` checks the snapshot before it deletes the present volume: it must exist and be ready, be of this installation's volume claim, be of the driver of the present volume, and not be larger than the volume claim requests. Nothing was changed."
    CommandNotStarted "HC5010" "a command was not started in the container"
        "The container's runtime did not start the command, mostly because the container has ended. Or the API server is too old to pass on the end of standard input."

    // 60: teardown
    TeardownStuck "HC6001" "an object is not deleted"
        "An object is being deleted but still exists, because a finalizer holds it. The message names the finalizer and its manager."

    // 90: everything else
    EditorFailed "HC0331" "the editor failed"
        "`config edit` starts the editor of VISUAL, else of EDITOR, else vi, with a copy of the config file. The editor could not be started or ended with an error. Export EDITOR with the name of another one; for an editor with a window add the flag that makes it wait, such as `code --wait`."
    Usage "HC9001" "invalid usage"
        "The command line is invalid, or a confirmation is needed and there is no terminal to ask on."
    Interrupted "HC9002" "interrupted"
        "A signal ended the command. Run it again to complete the work."
    Io "HC9003" "a file or a stream failed"
        "Reading or writing a file, or starting a program, failed on this computer."
    Internal "HC9099" "an internal error"
        "handsctl cannot classify this error. Report it with the output of -v."
}

impl Id {
    /// Returns the code: `HC4103`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.entry().code
    }

    /// Returns the problem in a few words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.entry().title
    }

    /// Returns the id with this code. Upper and lower case are equal.
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
        let mut codes = std::collections::BTreeSet::new();
        for id in Id::ALL {
            let entry = id.entry();
            assert!(codes.insert(entry.code), "{} is not unique", entry.code);
            assert_eq!(entry.code.len(), 6);
            assert!(entry.code.starts_with("HC") && entry.code[2..].bytes().all(|b| b.is_ascii_digit()));
            assert!(!entry.title.ends_with('.') && entry.explanation.ends_with('.'), "{}", entry.code);
        }
    }

    #[test]
    fn code_is_parsed_in_either_case() {
        assert_eq!(Id::from_code("hc4103"), Some(Id::ImageNotFound));
        assert_eq!(Id::from_code("HC0000"), None);
    }
}

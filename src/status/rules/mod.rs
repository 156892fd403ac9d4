//! The status of one object, and what is wrong with it.
//!
//! One rule for each level; each uses the ones below it:
//! - `deployment`, `workload`: a Deployment; a StatefulSet, Job, ReplicaSet or bare pod.
//! - `claim`: a volume claim.
//! - `pod`: its containers, its node, its volumes. `scheduling`: why no node takes it.
//! - `container`: one container. `image`, `crash`, `readiness`: why it does not start, dies, or is not ready.
//! - `admission`: why the server refuses a workload's pods.
//!
//! What the rules are given and what they answer:
//! - `pod_facts`: a pod with everything that is known of it.
//! - `container_status`, `object_status`: the status of a container, of an object.
//! - `fault`: something that is wrong, before it is known whether that is final.
//! - `root_cause`: many faults → few findings, without those that follow from another.
//! - `text`: exit codes, spans of time and counts in words.

mod admission;
pub(super) mod claim;
mod container;
mod container_status;
mod crash;
pub(super) mod deployment;
pub(super) mod fault;
pub(super) mod image;
pub(super) mod object_status;
pub(super) mod pod;
pub(super) mod pod_facts;
mod readiness;
pub(super) mod root_cause;
mod scheduling;
pub(super) mod text;
pub(super) mod workload;

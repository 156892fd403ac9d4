//! The health of one object, and its faults.
//!
//! One rule for each level:
//! - `deployment`, `daemon_set`, `workload`: a Deployment; a `DaemonSet`; a StatefulSet, Job, ReplicaSet or bare pod.
//! - `claim`: a volume claim. `custom`: an object of another controller, by its conditions.
//! - `pod`: its containers, its node, its volumes. `scheduling`: why it has no node.
//! - `container`: one container. `image`: why its image is not pulled. `crash`: why it crashes. `readiness`: why it is
//!   not ready.
//! - `progress`: what a pod without a fault waits for.
//! - `admission`: why the server rejects a workload's pods.
//! - `container_states`: the state of every container, for the timeline.
//!
//! Input and result of the rules:
//! - `pod_facts`: a pod with its Events and the grace periods.
//! - `container_status`, `object_status`: the health of a container, of an object.
//! - `fault`: a fault, before the evaluation decides whether it is final.
//! - `root_cause`: many faults → few findings, without consequences of other faults.
//! - `text`: exit codes, Events and times as text.

mod admission;
pub(super) mod claim;
mod container;
pub(super) mod container_states;
mod container_status;
mod crash;
pub(super) mod custom;
pub(super) mod daemon_set;
pub(super) mod deployment;
pub(super) mod fault;
pub(super) mod image;
pub(super) mod object_status;
pub(super) mod pod;
pub(super) mod pod_facts;
pub(super) mod progress;
mod readiness;
pub(super) mod root_cause;
pub(super) mod scheduling;
pub(super) mod text;
pub(super) mod workload;

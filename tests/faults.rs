//! What goes wrong between the binary and the API server, and that it is borne or said.

use std::time::Duration;

use crate::bed::Bed;
use crate::fault::{Fault, Proxy};

/// How long the binary may take until it sends a request, on a busy computer.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_killed_deploy_whose_request_was_held_leaves_nothing_and_one_whose_answer_was_held_leaves_the_object() {
    if Bed::is_off(
        "a_killed_deploy_whose_request_was_held_leaves_nothing_and_one_whose_answer_was_held_leaves_the_object",
    ) {
        return;
    }
    let bed = Bed::shared();
    for passed_on in [false, true] {
        let namespace = bed.namespace("killed");
        let proxy = Proxy::before(bed);
        let deployment = proxy.on(|request| request.is("PATCH", "/deployments/oh"));
        let held = if passed_on { deployment.hold_answer() } else { deployment.hold() };
        let mut child = proxy.command(&namespace, &["deploy"]).spawn();
        assert_eq!(held.reached(PATIENCE).json()["kind"], "Deployment");
        child.kill().unwrap();
        child.wait().unwrap();
        held.release();
        let there = bed.kubectl(&["get", "deployment", "-n", &namespace.name, "-o", "name"]);
        assert_eq!(there, if passed_on { "deployment.apps/oh\n" } else { "" });
        proxy.command(&namespace, &["deploy"]).run().exits(0).says("deployment.apps/oh 1/1");
    }
}

#[test]
fn a_request_that_never_reached_the_server_is_sent_again() {
    if Bed::is_off("a_request_that_never_reached_the_server_is_sent_again") {
        return;
    }
    let namespace = Bed::shared().namespace("again");
    let proxy = Proxy::before(namespace.bed);
    proxy.on(|request| request.is("PATCH", "/deployments/oh")).nth(1).answer(Fault::Drop);
    proxy.command(&namespace, &["deploy"]).run().exits(0).says("deployment.apps/oh 1/1");
    let sent = proxy.requests_that(|request| request.is("PATCH", "/deployments/oh"));
    assert_eq!(sent.iter().map(|request| request.answered).collect::<Vec<_>>(), [None, Some(201)]);
}

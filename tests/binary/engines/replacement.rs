//! A cluster that is replaced is deleted only after all checks have passed.

use std::net::TcpListener;

use super::Computer;

const LOCKED: &str = ".kube/config has been locked for more than 10 s";

#[test]
fn stale_lock_keeps_the_existing_cluster() {
    let computer = Computer::with_kind();
    computer.write_label();
    // The record is lost, and the label shows that the cluster is ours; it differs from the configuration.
    computer.write_nodes(20_001);
    computer.write_stale_lock();
    let recreate = ["--recreate", "--yes", "--set", "cluster.workers=1"];
    computer.cluster_up(&recreate).exits(14).says(LOCKED);
    assert!(!computer.has_deleted());
}

#[test]
fn stale_lock_keeps_the_incomplete_cluster() {
    let computer = Computer::with_kind();
    computer.write_unfinished_record(20_001);
    computer.write_nodes(20_001);
    computer.write_stale_lock();
    computer.cluster_up(&[]).exits(14).says(LOCKED);
    assert!(!computer.has_deleted() && computer.record().is_some());
}

#[test]
fn stale_lock_keeps_the_simulated_cluster() {
    let computer = Computer::with_kind();
    computer.write_simulated_record(0);
    let before = computer.record();
    computer.write_stale_lock();
    for provider in ["kind", "kwok"] {
        let set = format!("cluster.provider=\"{provider}\"");
        // The number of nodes differs, too.
        let recreate = ["--recreate", "--yes", "--set", &set, "--set", "cluster.workers=1"];
        computer.cluster_up(&recreate).exits(14).says(LOCKED).never_says("cleanup");
        assert_eq!(computer.record(), before, "{provider}");
    }
}

#[test]
fn busy_port_keeps_the_simulated_cluster() {
    let computer = Computer::with_kind();
    computer.write_simulated_record(0);
    let before = computer.record();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let set = format!("cluster.http_port={}", listener.local_addr().unwrap().port());
    computer.cluster_up(&["--recreate", "--yes", "--set", &set]).exits(14).says("error[HC2006]: port ");
    assert_eq!(computer.record(), before);
}

#[test]
fn stale_lock_keeps_the_kind_cluster_that_a_simulated_one_replaces() {
    let computer = Computer::with_kind();
    computer.write_unfinished_record(20_001);
    computer.write_nodes(20_001);
    computer.write_stale_lock();
    let recreate = ["--recreate", "--yes", "--set", "cluster.provider=\"kwok\""];
    computer.cluster_up(&recreate).exits(14).says(LOCKED).never_says("cleanup");
    assert!(!computer.has_deleted() && computer.record().is_some());
}

#[test]
fn foreign_kind_cluster_keeps_the_simulated_cluster_of_its_name() {
    let computer = Computer::with_kind();
    computer.write_simulated_record(0);
    let before = computer.record();
    computer.write_nodes(20_001);
    computer.cluster_up(&["--recreate", "--yes"]).exits(14).says("error[HC2022]");
    assert_eq!(computer.record(), before);
}

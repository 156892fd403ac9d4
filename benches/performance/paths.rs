//! The binary under test, its context, and the folder of its peers.

/// The measured binary.
pub(crate) const HANDSCTL: &str = env!("CARGO_BIN_EXE_handsctl");
/// The context of the proxy's kubeconfig. By this name handsctl does not treat it as a local cluster.
pub(crate) const CONTEXT: &str = "bench";
/// The environment variable with the folder of `kubectl`, `helm` and `kapp`; without it they are searched in `PATH`.
pub(crate) const FOLDER: &str = "BENCH_PEERS";
